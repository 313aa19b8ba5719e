#include "common/auth/hawk.h"

#include <math.h>

#include "common/auth/token.h"
#include "common/base/encode.h"
#include "common/base/json.h"
#include "common/base/testing_arena.h"

#define WINDOW_S INT64_C(31449600)
#define KEY      VIEW("plain-demo-key-0001")
#define MAC      "S4rwSY6Ve6zXYzfqChyWUpXu7KXykmZqav6cwHAIgR4="

static struct hawk_request sample(void)
{
    return (struct hawk_request){
        .method = VIEW("GET"),
        .target = VIEW("/1.5/12345/storage/bookmarks?full=1"),
        .host = VIEW("node17.sync.example.net"),
        .port = 443,
    };
}

static struct hawk_header parsed(view header)
{
    struct hawk_header h = { 0 };
    const char *why = NULL;

    if (!hawk_parse(header, &arena, &h, &why))
        fail_msg("%s: %.*s", why, VIEW_ARG(header));
    return h;
}

static struct hawk_header signed_header(const struct hawk_request *r)
{
    struct buf b = { 0 };
    struct hawk_header h;

    hawk_sign(VIEW("demo-id"), KEY, r, 1767225600, VIEW("Kp3xQw9uRt0="), VIEW_NONE, &b);
    h = parsed(buf_view(&b));
    buf_done(&b);
    return h;
}

/* ---- the header's grammar ---- */

#define BEFORE "Hawk id=\"demo-id\", ts=\"1767225600\", nonce=\"Kp3xQw9uRt0=\""
#define REST   ", mac=\"" MAC "\""

static const struct {
    const char *header, *why; /* NULL: taken */
} headers[] = {
    { BEFORE REST, NULL },
    { BEFORE REST "  ", NULL },
    { "Hawk   id=\"demo-id\",ts=\"1767225600\" \t ,\tnonce=\"n\"" REST, NULL },
    { "Hawk mac=\"" MAC "\", nonce=\"n\", ts=\"1\", id=\"x\"", NULL }, /* any order */
    { "Hawk id=demo-id, ts=1767225600, nonce=abc_DEF-0" REST, NULL },  /* bare values */
    { BEFORE REST ", ext=\"a, b=\\\"c\\\"\"", NULL },
    { BEFORE REST ", ext=\"\"", NULL },
    { BEFORE REST ", other=\"ignored\"", NULL },
    { BEFORE REST ", hash=\"vay4J2GN6ZuK2UhqlYk1P8Cl/4CNHYWLVggjWrj5XO4=\"", NULL },
    { "Hawk id=\"x\", ts=\"0\", nonce=\"n\"" REST, NULL },
    { "Hawk id=\"x\", ts=\"999999999999999\", nonce=\"n\"" REST, NULL }, /* 15 digits */
    { "Hawk id=\"x\", ts=\"1\", nonce=\"0123456789012345678901234567890123456789012345678901234567890123\"" REST,
      NULL },

    { "", "missing_prefix" },
    { " ", "missing_prefix" },
    { "True", "missing_prefix" },
    { "Hawk", "missing_prefix" },
    { "hawk id=\"demo-id\", ts=\"1767225600\", nonce=\"n\"" REST, "missing_prefix" },
    { "HAWK id=\"demo-id\", ts=\"1767225600\", nonce=\"n\"" REST, "missing_prefix" },
    { "Hawkid=\"demo-id\", ts=\"1767225600\", nonce=\"n\"" REST, "missing_prefix" },
    { "Hawk\tid=\"demo-id\", ts=\"1767225600\", nonce=\"n\"" REST, "missing_prefix" },
    { "Bearer id=\"demo-id\", ts=\"1767225600\", nonce=\"n\"" REST, "missing_prefix" },
    { " " BEFORE REST, "missing_prefix" },

    { "Hawk ts=\"1767225600\", nonce=\"n\"" REST, "missing_id" },
    { "Hawk id=\"\", ts=\"1767225600\", nonce=\"n\"" REST, "missing_id" },
    { "Hawk ID=\"x\", ts=\"1767225600\", nonce=\"n\"" REST, "missing_id" },

    { "Hawk ", "parse_error" },
    { "Hawk    ", "parse_error" },
    { "Hawk id", "parse_error" },
    { "Hawk id=", "parse_error" },
    { "Hawk this-is-not-hawk", "parse_error" },
    { BEFORE, "parse_error" }, /* no mac */
    { "Hawk id=\"x\", nonce=\"n\"" REST, "parse_error" },
    { "Hawk id=\"x\", ts=\"1\"" REST, "parse_error" },
    { "Hawk id=\"x\", ts=\"1\", nonce=\"\"" REST, "parse_error" },
    /* separators */
    { "Hawk id=\"x\" ts=\"1\", nonce=\"n\"" REST, "parse_error" },
    { "Hawk id=\"x\",, ts=\"1\", nonce=\"n\"" REST, "parse_error" },
    { "Hawk id=\"x\", , ts=\"1\", nonce=\"n\"" REST, "parse_error" },
    { "Hawk , id=\"x\", ts=\"1\", nonce=\"n\"" REST, "parse_error" },
    { BEFORE REST ",", "parse_error" },
    { BEFORE REST " ,  ", "parse_error" },
    { BEFORE REST ";", "parse_error" },
    { "Hawk id =\"x\", ts=\"1\", nonce=\"n\"" REST, "parse_error" },
    { "Hawk id= \"x\", ts=\"1\", nonce=\"n\"" REST, "parse_error" },
    { "Hawk =\"x\", id=\"x\", ts=\"1\", nonce=\"n\"" REST, "parse_error" },
    /* quotes */
    { "Hawk id=\"x\", ts=\"1\", nonce=\"n", "parse_error" },
    { "Hawk id=\"x\", ts=\"1\", nonce=\"n\", mac=\"" MAC, "parse_error" },
    { "Hawk id=\"x\", ts=\"1\", nonce=\"n\", mac=\"" MAC "\\\"", "parse_error" },
    { "Hawk id=\"x\", ts=\"1\", nonce=\"n\", mac=\"" MAC "\\", "parse_error" },
    { "Hawk id=x\"y, ts=\"1\", nonce=\"n\"" REST, "parse_error" },
    { "Hawk id=\"x\"y, ts=\"1\", nonce=\"n\"" REST, "parse_error" },
    { "Hawk id=\"x\"\"y\", ts=\"1\", nonce=\"n\"" REST, "parse_error" },
    { "Hawk id=x+y, ts=\"1\", nonce=\"n\"" REST, "parse_error" },
    /* names twice, and those that full Hawk signs */
    { "Hawk id=\"x\", id=\"x\", ts=\"1\", nonce=\"n\"" REST, "parse_error" },
    { BEFORE REST REST, "parse_error" },
    { BEFORE REST ", ts=\"1767225600\"", "parse_error" },
    { BEFORE REST ", a=\"1\", a=\"2\"", "parse_error" },
    { BEFORE REST ", app=\"x\"", "parse_error" },
    { BEFORE REST ", app=\"\"", "parse_error" },
    { BEFORE REST ", dlg=\"x\"", "parse_error" },
    { BEFORE REST ", a=1, b=1, c=1, d=1, e=1, f=1, g=1, h=1, i=1, j=1, k=1, l=1, m=1", "parse_error" },
    /* ts */
    { "Hawk id=\"x\", ts=\"\", nonce=\"n\"" REST, "parse_error" },
    { "Hawk id=\"x\", ts=\"soon\", nonce=\"n\"" REST, "parse_error" },
    { "Hawk id=\"x\", ts=\"+1\", nonce=\"n\"" REST, "parse_error" },
    { "Hawk id=\"x\", ts=\"-1\", nonce=\"n\"" REST, "parse_error" },
    { "Hawk id=\"x\", ts=\" 1\", nonce=\"n\"" REST, "parse_error" },
    { "Hawk id=\"x\", ts=\"1 \", nonce=\"n\"" REST, "parse_error" },
    { "Hawk id=\"x\", ts=\"1.5\", nonce=\"n\"" REST, "parse_error" },
    { "Hawk id=\"x\", ts=\"0x1\", nonce=\"n\"" REST, "parse_error" },
    { "Hawk id=\"x\", ts=\"1e3\", nonce=\"n\"" REST, "parse_error" },
    { "Hawk id=\"x\", ts=\"1000000000000000\", nonce=\"n\"" REST, "parse_error" },
    { "Hawk id=\"x\", ts=\"0000000000000001\", nonce=\"n\"" REST, "parse_error" },
    /* nonce, mac and hash */
    { "Hawk id=\"x\", ts=\"1\", nonce=\"01234567890123456789012345678901234567890123456789012345678901234\"" REST,
      "parse_error" },
    { BEFORE ", mac=\"\"", "parse_error" },
    { BEFORE ", mac=\"AAAA\"", "parse_error" },
    { BEFORE ", mac=\"S4rwSY6Ve6zXYzfqChyWUpXu7KXykmZqav6cwHAIgR4\"", "parse_error" },
    { BEFORE ", mac=\"S4rwSY6Ve6zXYzfqChyWUpXu7KXykmZqav6cwHAIgR5=\"", "parse_error" },
    { BEFORE ", mac=\"S4rwSY6Ve6zXYzfqChyWUpXu7KXykmZqav6cwHAIgR==\"", "parse_error" },
    { BEFORE ", mac=\"S4rwSY6Ve6zXYzfqChyWUpXu7KXykmZqav6cwHAIgR4x\"", "parse_error" },
    { BEFORE ", mac=\"-4rwSY6Ve6zXYzfqChyWUpXu7KXykmZqav6cwHAIgR4=\"", "parse_error" },
    { BEFORE REST ", hash=\"\"", "parse_error" },
    { BEFORE REST ", hash=\"not base64!\"", "parse_error" },
    { BEFORE REST ", hash=\"Zm9v\"", "parse_error" },
    /* bytes that do not belong into a header */
    { BEFORE REST ", ext=\"a\tb\"", "parse_error" },
    { BEFORE REST ", ext=\"a\nb\"", "parse_error" },
    { BEFORE REST ", ext=\"a\\\nb\"", "parse_error" },
    { BEFORE REST ", ext=\"a\rb\"", "parse_error" },
    { BEFORE REST ", ext=\"a\x7f\"", "parse_error" },
    { BEFORE REST ", ext=\"\xc3\xa4\"", "parse_error" },
    { BEFORE REST ", \xc3\xa4=\"x\"", "parse_error" },
    { BEFORE REST "\n", "parse_error" },
};

static void only_a_well_formed_header_is_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        struct hawk_header h = { .ts = -42 };
        const char *why = "nothing";
        bool good = hawk_parse(view_of(headers[i].header), &arena, &h, &why);

        if (good != !headers[i].why || (!good && (strcmp(why, headers[i].why) != 0 || h.ts != -42)))
            fail_msg("%s: %s", headers[i].header, good ? "taken" : why);
    }
}

static void a_nul_in_a_value_is_refused(void **state)
{
    struct hawk_header h;
    const char *why;

    (void)state;
    assert_false(hawk_parse(VIEW(BEFORE REST ", ext=\"a\0b\""), &arena, &h, &why));
    assert_false(hawk_parse(VIEW(BEFORE REST "\0"), &arena, &h, &why));
    assert_false(hawk_parse(VIEW_NONE, &arena, &h, &why));
}

static void escapes_are_taken_out_of_quoted_values(void **state)
{
    struct hawk_header h = parsed(VIEW(BEFORE REST ", ext=\"\\\"\""));

    (void)state;
    assert_true(view_eq(h.ext, VIEW("\"")));
    h = parsed(VIEW(BEFORE REST ", ext=\"\""));
    assert_non_null(h.ext.p);
    assert_int_equal(h.ext.n, 0);
    h = parsed(VIEW(BEFORE REST ", ext=\"a,b\\,c\\\\d\\e\""));
    assert_true(view_eq(h.ext, VIEW("a,b,c\\de")));
    h = parsed(VIEW(BEFORE REST));
    assert_null(h.ext.p);
    assert_null(h.hash.p);
    assert_int_equal(h.ts, 1767225600);
    assert_true(view_eq(h.ts_text, VIEW("1767225600")));
    assert_true(view_eq(h.nonce, VIEW("Kp3xQw9uRt0=")));
    assert_true(view_eq(h.id, VIEW("demo-id")));
    assert_true(view_eq(h.mac, VIEW(MAC)));
}

static bool parses_with(const char *name, size_t n)
{
    struct hawk_header h;
    const char *why;
    struct buf b = { 0 };
    bool good;

    buf_addf(&b, "Hawk %sts=\"1\", nonce=\"n\"%s, %s=\"", strcmp(name, "id") == 0 ? "" : "id=\"x\", ", REST,
             name);
    for (size_t i = 0; i < n; i++)
        buf_addc(&b, 'x');
    buf_addc(&b, '"');
    good = hawk_parse(buf_view(&b), &arena, &h, &why);
    buf_done(&b);
    return good;
}

static void every_part_has_its_ceiling(void **state)
{
    (void)state;
    assert_true(parses_with("id", 4096));
    assert_false(parses_with("id", 4097));
    assert_true(parses_with("ext", 1024));
    assert_false(parses_with("ext", 1025));
    assert_true(parses_with("other", 8000));
    assert_false(parses_with("other", 8192));
}

/* ---- the signature ---- */

static void the_published_example_of_hawk_is_reproduced(void **state)
{
    struct hawk_request r = {
        .method = VIEW("GET"),
        .target = VIEW("/resource/1?b=1&a=2"),
        .host = VIEW("example.com"),
        .port = 8000,
    };
    view key = VIEW("werxhqb98rpaxn39848xrunpaw3489ruxnpa98w4rxn");
    struct hawk_header h = parsed(VIEW("Hawk id=\"dh37fgj492je\", ts=\"1353832234\", nonce=\"j4h3g2\", "
                                       "ext=\"some-app-ext-data\", "
                                       "mac=\"6R4rV5iE+NPoym+WwjeHzjAGXUtLNIxmo1vpMofpLAE=\""));

    (void)state;
    assert_true(hawk_check(key, &h, &r));
    h = parsed(VIEW("Hawk id=\"dh37fgj492je\", ts=\"1353832234\", nonce=\"j4h3g2\", "
                    "hash=\"Yi9LfIIFRtBEPt74PVmbTF/xVAwPn7ub15ePICfgnuY=\", ext=\"some-app-ext-data\", "
                    "mac=\"aSe1DERmZuRl3pI36/9BdZmnErTw3sNzOOAUlfeKjVw=\""));
    r.method = VIEW("POST");
    assert_true(hawk_check(key, &h, &r));
    assert_true(hawk_payload_ok(&h, VIEW("text/plain"), VIEW("Thank you for flying Hawk")));
    assert_false(hawk_payload_ok(&h, VIEW("text/plain"), VIEW("Thank you for flying Hawk!")));
    assert_false(hawk_payload_ok(&h, VIEW("text/html"), VIEW("Thank you for flying Hawk")));
}

static void what_is_signed_checks_and_every_change_breaks_it(void **state)
{
    struct hawk_request r = sample(), other;
    struct hawk_header h = signed_header(&r), changed;

    (void)state;
    assert_true(hawk_check(KEY, &h, &r));
    assert_false(hawk_check(VIEW("plain-demo-key-0002"), &h, &r));
    assert_false(hawk_check(VIEW(""), &h, &r));

    other = r;
    other.method = VIEW("DELETE");
    assert_false(hawk_check(KEY, &h, &other));
    other = r;
    other.method = VIEW("HEAD"); /* HEAD is signed as HEAD */
    assert_false(hawk_check(KEY, &h, &other));
    other = r;
    other.target = VIEW("/1.5/12346/storage/bookmarks?full=1");
    assert_false(hawk_check(KEY, &h, &other));
    other.target = VIEW("/1.5/12345/storage/bookmarks?full=2");
    assert_false(hawk_check(KEY, &h, &other));
    other.target = VIEW("/1.5/12345/storage/bookmarks");
    assert_false(hawk_check(KEY, &h, &other));
    other.target = VIEW("/1.5/12345/storage/bookmark%73?full=1");
    assert_false(hawk_check(KEY, &h, &other));
    other = r;
    other.host = VIEW("node18.sync.example.net");
    assert_false(hawk_check(KEY, &h, &other));
    other = r;
    other.port = 80;
    assert_false(hawk_check(KEY, &h, &other));

    changed = h;
    changed.ts_text = VIEW("1767225601");
    assert_false(hawk_check(KEY, &changed, &r));
    changed = h;
    changed.nonce = VIEW("zzzzzzzz");
    assert_false(hawk_check(KEY, &changed, &r));
    changed = h;
    changed.ext = VIEW("x");
    assert_false(hawk_check(KEY, &changed, &r));
    changed = h;
    changed.hash = VIEW("vay4J2GN6ZuK2UhqlYk1P8Cl/4CNHYWLVggjWrj5XO4=");
    assert_false(hawk_check(KEY, &changed, &r));
    changed = h;
    changed.mac = VIEW("AAAASY6Ve6zXYzfqChyWUpXu7KXykmZqav6cwHAIgR4=");
    assert_false(hawk_check(KEY, &changed, &r));
    changed = h;
    changed.id = VIEW("another id, which is not signed by itself");
    assert_true(hawk_check(KEY, &changed, &r));
}

static void method_and_host_are_taken_in_any_case(void **state)
{
    struct hawk_request r = sample();
    struct hawk_header h = signed_header(&r);

    (void)state;
    r.method = VIEW("gEt");
    r.host = VIEW("NODE17.Sync.Example.NET");
    assert_true(hawk_check(KEY, &h, &r));
    r.target = VIEW("/1.5/12345/STORAGE/bookmarks?full=1");
    assert_false(hawk_check(KEY, &h, &r));
}

static void a_bare_question_mark_may_be_missing_from_what_was_signed(void **state)
{
    struct hawk_request r = sample();
    struct hawk_header h;

    (void)state;
    r.target = VIEW("/1.5/12345/info/collections");
    h = signed_header(&r);
    r.target = VIEW("/1.5/12345/info/collections?");
    assert_true(hawk_check(KEY, &h, &r));
    h = signed_header(&r); /* signed with it: fits as it is … */
    assert_true(hawk_check(KEY, &h, &r));
    r.target = VIEW("/1.5/12345/info/collections"); /* … and is not made up */
    assert_false(hawk_check(KEY, &h, &r));
    r.target = VIEW("/a?b");
    h = signed_header(&r);
    r.target = VIEW("/a?b?");
    assert_false(hawk_check(KEY, &h, &r));
}

static void an_address_of_ipv6_keeps_its_brackets(void **state)
{
    struct hawk_request r = sample();
    struct hawk_header h;

    (void)state;
    r.host = VIEW("[::1]");
    r.port = 8000;
    h = signed_header(&r);
    assert_true(hawk_check(KEY, &h, &r));
    r.host = VIEW("::1");
    assert_false(hawk_check(KEY, &h, &r));
}

static void long_methods_hosts_and_targets_are_signed_whole(void **state)
{
    struct hawk_request r = sample();
    struct hawk_header h;
    view host = arena_text(&arena, "%0600d.Example.net", 7),
         same = arena_text(&arena, "%0600d.example.NET", 7);

    (void)state;
    r.host = host;
    r.method = arena_text(&arena, "%0300dx", 1);
    r.target = arena_text(&arena, "/%020000d", 1);
    r.port = UINT32_MAX;
    h = signed_header(&r);
    r.host = same;
    assert_true(hawk_check(KEY, &h, &r));
    r.host.n--;
    assert_false(hawk_check(KEY, &h, &r));
}

static void a_signed_header_survives_quotes(void **state)
{
    struct hawk_request r = sample();
    struct hawk_header h;
    struct buf b = { 0 };

    (void)state;
    hawk_sign(VIEW("a \"quoted\" \\ id"), KEY, &r, 7, VIEW("n\"\\"), VIEW_NONE, &b);
    h = parsed(buf_view(&b));
    assert_true(view_eq(h.id, VIEW("a \"quoted\" \\ id")));
    assert_true(view_eq(h.nonce, VIEW("n\"\\")));
    assert_int_equal(h.ts, 7);
    assert_true(hawk_check(KEY, &h, &r));
    buf_done(&b);
}

static void a_body_can_be_signed_too(void **state)
{
    struct hawk_request r = sample();
    struct hawk_header h;
    char hash[HAWK_MAC_TEXT];
    struct buf b = { 0 };

    (void)state;
    hawk_payload_hash(VIEW(" Application/JSON ; charset=utf-8"), VIEW("{}"), hash);
    hawk_sign(VIEW("id"), KEY, &r, 7, VIEW("n"), (view){ .p = hash, .n = sizeof hash }, &b);
    h = parsed(buf_view(&b));
    assert_true(hawk_check(KEY, &h, &r));
    assert_true(hawk_payload_ok(&h, VIEW("application/json"), VIEW("{}")));
    assert_false(hawk_payload_ok(&h, VIEW("application/json"), VIEW("{} ")));
    assert_false(hawk_payload_ok(&h, VIEW("text/plain"), VIEW("{}")));
    assert_false(hawk_payload_ok(&h, VIEW_NONE, VIEW("{}")));
    h.hash = VIEW_NONE; /* without a hash there is nothing to compare */
    assert_true(hawk_payload_ok(&h, VIEW("text/plain"), VIEW("what ever")));
    buf_done(&b);
}

/* ---- diagnosis ---- */

static const view hosts[] = { VIEW("node17.sync.example.net"), VIEW("10.0.0.7") };
static const unsigned ports[] = { 443, 80, 8000 };
static const view targets[] = { VIEW("/1.5/12345/storage/bookmarks?full=1"),
                                VIEW("/sync/1.5/12345/storage/bookmarks?full=1") };
static const struct hawk_guess guess = {
    .hosts = hosts, .n_hosts = 2, .ports = ports, .n_ports = 3, .targets = targets, .n_targets = 2
};

static void assert_diagnosis(const struct hawk_request *checked, const char *expected)
{
    struct hawk_request r = sample();
    struct hawk_header h = signed_header(&r);
    view text = VIEW_NONE;

    if (!hawk_diagnose(KEY, &h, checked, &guess, &arena, &text))
        fail_msg("nothing found instead of %s", expected);
    if (!view_eq(text, view_of(expected)))
        fail_msg("%.*s instead of %s", VIEW_ARG(text), expected);
}

static void a_wrong_mac_is_traced_to_what_differs(void **state)
{
    struct hawk_request r = sample();

    (void)state;
    r.port = 8000;
    assert_diagnosis(&r, "port: signed 443, checked 8000");
    r.host = VIEW("10.0.0.7");
    assert_diagnosis(
        &r, "host: signed node17.sync.example.net, checked 10.0.0.7; port: signed 443, checked 8000");
    r = sample();
    r.method = VIEW("PUT");
    assert_diagnosis(&r, "method: signed GET, checked PUT");
    r = sample();
    r.target = VIEW("/sync/1.5/12345/storage/bookmarks?full=1");
    assert_diagnosis(&r, "path: signed /1.5/12345/storage/bookmarks?full=1, checked "
                         "/sync/1.5/12345/storage/bookmarks?full=1");
}

static void a_wrong_key_is_no_difference_of_the_request(void **state)
{
    struct hawk_request r = sample();
    struct hawk_header h = signed_header(&r);
    view text = VIEW("untouched");

    (void)state;
    assert_false(hawk_diagnose(VIEW("another key"), &h, &r, &guess, &arena, &text));
    assert_true(view_eq(text, VIEW("untouched")));
}

static void a_long_list_of_guesses_ends_soon(void **state)
{
    static unsigned many[100000];
    struct hawk_guess g = { .ports = many, .n_ports = sizeof many / sizeof many[0] };
    struct hawk_request r = sample();
    struct hawk_header h = signed_header(&r);
    view text;

    (void)state;
    assert_false(hawk_diagnose(VIEW("another key"), &h, &r, &g, &arena, &text));
}

/* ---- the test data, made by other implementations ---- */

static view text_of(const json_t *object, const char *name)
{
    return json_text(json_object_get(object, name));
}

/* host[:port] and the scheme's port, as the server takes them from a request */
static struct hawk_request request_of(const json_t *row)
{
    const json_t *q = json_object_get(row, "request");
    struct hawk_request r = { .method = text_of(q, "method"), .target = text_of(q, "path_and_query") };
    view host = text_of(q, "host_header");
    uint64_t port = view_eq(text_of(q, "scheme"), VIEW("https")) ? 443 : 80;

    r.host = host;
    for (size_t i = host.n; i-- > 0 && host.p[i] != ']';)
        if (host.p[i] == ':') {
            r.host.n = i;
            assert_true(view_to_u64((view){ .p = host.p + i + 1, .n = host.n - i - 1 }, 65535, &port));
            break;
        }
    r.port = (unsigned)port;
    return r;
}

static bool accepts(const json_t *row, const char *name)
{
    const json_t *q = json_object_get(row, "request");
    bool parses = json_is_true(json_object_get(row, "header_parses"));
    int64_t now = json_integer_value(json_object_get(row, "now"));
    struct hawk_request r = request_of(row);
    view computed = text_of(row, "computed_mac"), key = text_of(row, "key");
    struct hawk_header h;
    char mac[HAWK_MAC_TEXT];
    const char *why;

    if (!hawk_parse(text_of(row, "authorization"), &arena, &h, &why))
        return false;
    if (!parses)
        fail_msg("%s: should not parse", name);
    hawk_mac(key, &h, &r, mac);
    if (!view_eq((view){ .p = mac, .n = sizeof mac }, computed))
        fail_msg("%s: another MAC", name);
    if (hawk_check(key, &h, &r) != json_is_true(json_object_get(row, "mac_ok")))
        fail_msg("%s: judged otherwise", name);
    if (!hawk_check(key, &h, &r) || !hawk_payload_ok(&h, text_of(q, "content_type"), text_of(q, "body_utf8")))
        return false;
    return llabs((long long)(now - h.ts)) <= WINDOW_S;
}

static void every_request_of_the_test_data_is_judged_as_expected(void **state)
{
    json_t *data = json_load_file("tests/data/hawk.json", 0, NULL);
    json_t *rows = json_object_get(data, "request_vectors"), *row;
    size_t i;

    (void)state;
    assert_true(json_array_size(rows) >= 38);
    json_array_foreach (rows, i, row) {
        const char *name = json_string_value(json_object_get(row, "name"));
        bool expected = json_is_true(json_object_get(json_object_get(row, "expect"), "accept"));

        if (accepts(row, name) != expected)
            fail_msg("%s", name);
    }
    json_decref(data);
}

/* The one route that an expired token opens, and the uid in the path: what the node does around this library. */
static view path_of(view target)
{
    view path = VIEW_NONE;

    assert_true(view_cut(&target, '?', &path));
    return path;
}

static uint64_t uid_in(view path)
{
    view part = VIEW_NONE;
    uint64_t uid = 0;

    for (int i = 0; i < 3; i++) /* "", "1.5", uid */
        assert_true(view_cut(&path, '/', &part));
    assert_true(view_to_u64(part, INT64_MAX, &uid));
    return uid;
}

static bool opens_with_expired(const struct hawk_request *r)
{
    view path = path_of(r->target);

    return view_eq(r->method, VIEW("GET")) &&
           view_eq(path, arena_text(&arena, "/1.5/%llu/info/collections", (unsigned long long)uid_in(path)));
}

/* The order of the checks is that of the protocol notes. */
static const char *judge(const json_t *row, const struct token_verifier *v)
{
    struct hawk_request r = request_of(row);
    double now_s = json_number_value(json_object_get(row, "now"));
    struct hawk_header h;
    struct token t;
    char key[TOKEN_KEY_TEXT];
    bool expired;
    const char *why;
    enum token_reason reason;

    if (!hawk_parse(text_of(row, "authorization"), &arena, &h, &why))
        return "no-credentials";
    reason = token_open(v, h.id, now_s, &arena, &t, key, &expired);
    if (reason != TOKEN_GOOD)
        return token_reason_name(reason);
    if (expired && !opens_with_expired(&r))
        return "expired";
    if (!hawk_check((view){ .p = key, .n = sizeof key }, &h, &r))
        return "bad-mac";
    if (fabs(now_s - (double)h.ts) > (double)WINDOW_S)
        return "stale";
    return (uint64_t)t.uid == uid_in(path_of(r.target)) ? NULL : "uid-mismatch";
}

static void token_key_and_signature_together_are_judged_as_expected(void **state)
{
    json_t *data = json_load_file("tests/data/hawk.json", 0, NULL);
    json_t *rows = json_object_get(data, "end_to_end_vectors"), *row;
    size_t i;

    (void)state;
    assert_true(json_array_size(rows) >= 16);
    json_array_foreach (rows, i, row) {
        const json_t *list = json_object_get(row, "accepted_secrets");
        view node = text_of(row, "node");
        view expected = text_of(json_object_get(row, "expect"), "reason");
        char *texts[4];
        struct conf_list items = { .items = texts, .n = json_array_size(list) };
        struct token_verifier *v = NULL;
        struct secrets *s = NULL;
        const char *reason;

        assert_in_range(items.n, 1, 4);
        for (size_t k = 0; k < items.n; k++)
            texts[k] = (char *)(uintptr_t)json_string_value(json_array_get(list, k));
        assert_int_equal(secrets_new(&items, 1, &s, NULL), RC_OK);
        assert_int_equal(token_verifier_new(s, &node, 1, 7200, &v, NULL), RC_OK);
        reason = judge(row, v);
        if (!view_eq(view_of(reason), expected) || !reason != !expected.p)
            fail_msg("%s: %s", json_string_value(json_object_get(row, "name")), reason ? reason : "accepted");
        token_verifier_free(v);
        secrets_free(s);
    }
    json_decref(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_well_formed_header_is_taken),
        cmocka_unit_test(a_nul_in_a_value_is_refused),
        cmocka_unit_test(escapes_are_taken_out_of_quoted_values),
        cmocka_unit_test(every_part_has_its_ceiling),
        cmocka_unit_test(the_published_example_of_hawk_is_reproduced),
        cmocka_unit_test(what_is_signed_checks_and_every_change_breaks_it),
        cmocka_unit_test(method_and_host_are_taken_in_any_case),
        cmocka_unit_test(a_bare_question_mark_may_be_missing_from_what_was_signed),
        cmocka_unit_test(an_address_of_ipv6_keeps_its_brackets),
        cmocka_unit_test(long_methods_hosts_and_targets_are_signed_whole),
        cmocka_unit_test(a_signed_header_survives_quotes),
        cmocka_unit_test(a_body_can_be_signed_too),
        cmocka_unit_test(a_wrong_mac_is_traced_to_what_differs),
        cmocka_unit_test(a_wrong_key_is_no_difference_of_the_request),
        cmocka_unit_test(a_long_list_of_guesses_ends_soon),
        cmocka_unit_test(every_request_of_the_test_data_is_judged_as_expected),
        cmocka_unit_test(token_key_and_signature_together_are_judged_as_expected),
    };

    return cmocka_run_group_tests(tests, arena_setup, arena_teardown);
}
