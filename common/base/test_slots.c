#include "common/base/slots.h"

#include <stdio.h>

#include "common/base/testing.h"

/* The numbers that the balancers compute; lb-rules and tests/lb hold them to the same. */
static void the_slot_of_a_number_is_made_of_its_last_four_digits(void **state)
{
    (void)state;
    assert_int_equal(slot_of_uid(0), 0);
    assert_int_equal(slot_of_uid(4095), 4095);
    assert_int_equal(slot_of_uid(4096), 0);
    assert_int_equal(slot_of_uid(9999), 9999 - 2 * 4096);
    assert_int_equal(slot_of_uid(10000), 0);
    assert_int_equal(slot_of_uid(1234567890), 7890 - 4096);
    assert_int_equal(slot_of_uid(9999999999), 9999 - 2 * 4096);
}

static void the_slot_of_a_name_is_made_of_its_first_three_characters(void **state)
{
    (void)state;
    assert_int_equal(slot_of_name(VIEW("")), 0);
    assert_int_equal(slot_of_name(VIEW("a")), 0x1);
    assert_int_equal(slot_of_name(VIEW("a-")), 0x1d);
    assert_int_equal(slot_of_name(VIEW("abc")), 0x123);
    assert_int_equal(slot_of_name(VIEW("ABCdef")), 0x123);
    assert_int_equal(slot_of_name(VIEW("u2wqblarhim5su7pxemcbwdyryrghmuk")), 0x527);
    assert_int_equal(slot_of_name(VIEW("_._")), 0xfef);
}

enum { NODES = 8 };

static void make(struct slot_node nodes[NODES], char names[NODES][32])
{
    for (int i = 0; i < NODES; i++) {
        snprintf(names[i], 32, "node%d.example.net", i);
        nodes[i] = (struct slot_node){ .name = view_of(names[i]), .weight = 1000 };
    }
}

static void slots_are_shared_out_by_weight(void **state)
{
    struct slot_node nodes[NODES];
    char names[NODES][32];
    unsigned count[NODES] = { 0 };

    (void)state;
    make(nodes, names);
    nodes[3].weight = 3000; /* 10 shares in all */
    nodes[5].weight = 0;
    for (unsigned s = 0; s < SLOTS; s++)
        count[slot_owner(s, nodes, NODES)]++;
    for (int i = 0; i < NODES; i++) {
        unsigned fair = (unsigned)(SLOTS * nodes[i].weight / 9000);
        assert_in_range(count[i], fair - fair / 5, fair + fair / 5);
    }
}

static void a_new_node_takes_its_share_and_nothing_else_changes_hands(void **state)
{
    struct slot_node nodes[NODES];
    char names[NODES][32];
    unsigned taken = 0;

    (void)state;
    make(nodes, names);
    for (unsigned s = 0; s < SLOTS; s++) {
        int before = slot_owner(s, nodes, NODES - 1), after = slot_owner(s, nodes, NODES);
        if (after == NODES - 1)
            taken++;
        else
            assert_int_equal(before, after);
    }
    assert_in_range(taken, SLOTS / NODES * 4 / 5, SLOTS / NODES * 6 / 5);
}

static void the_order_of_the_nodes_does_not_matter(void **state)
{
    struct slot_node nodes[NODES], turned[NODES];
    char names[NODES][32];

    (void)state;
    make(nodes, names);
    for (int i = 0; i < NODES; i++)
        turned[i] = nodes[NODES - 1 - i];
    for (unsigned s = 0; s < SLOTS; s++)
        assert_int_equal(slot_owner(s, nodes, NODES), NODES - 1 - slot_owner(s, turned, NODES));
}

static void without_a_weight_nobody_owns_a_slot(void **state)
{
    const struct slot_node none[] = { { VIEW("a"), 0 }, { VIEW("b"), -1 } };

    (void)state;
    assert_int_equal(slot_owner(7, none, 2), -1);
    assert_int_equal(slot_owner(7, NULL, 0), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_slot_of_a_number_is_made_of_its_last_four_digits),
        cmocka_unit_test(the_slot_of_a_name_is_made_of_its_first_three_characters),
        cmocka_unit_test(slots_are_shared_out_by_weight),
        cmocka_unit_test(a_new_node_takes_its_share_and_nothing_else_changes_hands),
        cmocka_unit_test(the_order_of_the_nodes_does_not_matter),
        cmocka_unit_test(without_a_weight_nobody_owns_a_slot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
