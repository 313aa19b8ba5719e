#include "directory/backend/ldap_guard.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "common/base/mem.h"
#include "directory/backend/ldap_wire.h"

enum { READ_WAIT_MS = 500, CAPACITY_FIRST = 4096, LENGTH_BYTES_MAX = 4, NUMBER_BYTES_MAX = 4 };

/* For guard_ctrl: a number that the library does not use. */
#define OPT_READ_AHEAD 0x4865

/* RFC 4511: universal and application tags, and those of the parts of messages. */
enum {
    BOOLEAN = 0x01,
    INTEGER = 0x02,
    OCTETS = 0x04,
    ENUMERATED = 0x0a,
    SEQUENCE = 0x30,
    SET = 0x31,
    CONTROLS = 0xa0,
    REFERRAL = 0xa3,
    SASL_CREDS = 0x87,
    EXTENDED_NAME = 0x8a,
    EXTENDED_VALUE = 0x8b,
    INTERMEDIATE_NAME = 0x80,
    INTERMEDIATE_VALUE = 0x81
};

/* ---- the form of a message ---- */

/* The head of an element: *out_head its bytes, *out_body those behind it. 0: not all there; -1: none that we take. */
static int element_head(view v, size_t *out_head, size_t *out_body)
{
    const unsigned char *p = (const unsigned char *)v.p;
    size_t n_length, body = 0;
    if (v.n < 2)
        return 0;
    if (p[1] < 0x80) {
        *out_head = 2;
        *out_body = p[1];
        return 1;
    }
    n_length = p[1] & 0x7fu;
    if (n_length == 0 || n_length > LENGTH_BYTES_MAX) /* 0: without a length, which LDAP forbids */
        return -1;
    if (v.n < 2 + n_length)
        return 0;
    for (size_t i = 0; i < n_length; i++)
        body = body << 8 | p[2 + i];
    *out_head = 2 + n_length;
    *out_body = body;
    return 1;
}

long ldap_message_size(view begin)
{
    size_t head, body;
    if (begin.n > 0 && (unsigned char)begin.p[0] != SEQUENCE)
        return -1;
    int got = element_head(begin, &head, &body);
    if (got <= 0)
        return got;
    return head + body > LDAP_MESSAGE_MAX ? -1 : (long)(head + body);
}

/* Takes an element of this tag from the front. */
static bool take(view *v, unsigned tag, view *out)
{
    size_t head, body;
    if (v->n == 0 || (unsigned char)v->p[0] != tag || element_head(*v, &head, &body) <= 0 ||
        body > v->n - head)
        return false;
    *out = (view){ .p = v->p + head, .n = body };
    *v = (view){ .p = v->p + head + body, .n = v->n - head - body };
    return true;
}

static bool begins(view v, unsigned tag)
{
    return v.n > 0 && (unsigned char)v.p[0] == tag;
}

/* Absent, or whole. */
static bool may_take(view *v, unsigned tag)
{
    view skipped;
    return !begins(*v, tag) || take(v, tag, &skipped);
}

static bool take_number(view *v, unsigned tag)
{
    view number;
    return take(v, tag, &number) && number.n > 0 && number.n <= NUMBER_BYTES_MAX &&
           (unsigned char)number.p[0] < 0x80;
}

static bool only_octets(view v, size_t least)
{
    view one;
    size_t n = 0;
    for (; v.n > 0; n++)
        if (!take(&v, OCTETS, &one))
            return false;
    return n >= least;
}

static bool is_entry(view v)
{
    view dn, list, pair, name, values;
    if (!take(&v, OCTETS, &dn) || !take(&v, SEQUENCE, &list) || v.n > 0)
        return false;
    while (list.n > 0)
        if (!take(&list, SEQUENCE, &pair) || !take(&pair, OCTETS, &name) || !take(&pair, SET, &values) ||
            pair.n > 0 || !only_octets(values, 0))
            return false;
    return true;
}

/* LDAPResult; what may follow it is left in *v. */
static bool take_result(view *v)
{
    view skipped, uris;
    return take_number(v, ENUMERATED) && take(v, OCTETS, &skipped) && take(v, OCTETS, &skipped) &&
           (!begins(*v, REFERRAL) || (take(v, REFERRAL, &uris) && only_octets(uris, 1)));
}

static bool is_operation(unsigned tag, view v)
{
    switch (tag) {
    case LDAP_RES_SEARCH_ENTRY:
        return is_entry(v);
    case LDAP_RES_SEARCH_REFERENCE:
        return only_octets(v, 1);
    case LDAP_RES_BIND:
        return take_result(&v) && may_take(&v, SASL_CREDS) && v.n == 0;
    case LDAP_RES_EXTENDED:
        return take_result(&v) && may_take(&v, EXTENDED_NAME) && may_take(&v, EXTENDED_VALUE) && v.n == 0;
    case LDAP_RES_INTERMEDIATE:
        return may_take(&v, INTERMEDIATE_NAME) && may_take(&v, INTERMEDIATE_VALUE) && v.n == 0;
    case LDAP_RES_SEARCH_RESULT:
    case LDAP_RES_MODIFY:
    case LDAP_RES_ADD:
    case LDAP_RES_DELETE:
        return take_result(&v) && v.n == 0;
    default:
        return false;
    }
}

static bool are_controls(view v)
{
    view one, oid;
    while (v.n > 0)
        if (!take(&v, SEQUENCE, &one) || !take(&one, OCTETS, &oid) || oid.n == 0 ||
            !may_take(&one, BOOLEAN) || !may_take(&one, OCTETS) || one.n > 0)
            return false;
    return true;
}

/* An answer has the number of what was asked. 0 is a notice of disconnection, whose texts libldap 2.5 never frees; for us the connection
 * ends a moment earlier. */
static bool is_zero(view number)
{
    for (size_t i = 0; i < number.n; i++)
        if (number.p[i] != '\0')
            return false;
    return true;
}

bool ldap_message_ok(view message)
{
    view inside, op, number, controls = VIEW("");
    if (!take(&message, SEQUENCE, &inside) || message.n > 0)
        return false;
    view id = inside;
    if (!take_number(&inside, INTEGER) || !take(&id, INTEGER, &number) || is_zero(number) || inside.n == 0)
        return false;
    unsigned tag = (unsigned char)inside.p[0];
    if (!take(&inside, tag, &op) || (inside.n > 0 && !take(&inside, CONTROLS, &controls)) || inside.n > 0)
        return false;
    return is_operation(tag, op) && are_controls(controls);
}

/* ---- the layer ---- */

struct guard {
    char *bytes;
    size_t capacity;
    size_t have; /* bytes that were read and not given yet … */
    /* … of which the first message, whole and good, takes so many; so many of them were given */
    size_t size, given;
    bool whole, timed;
    bool ahead; /* what the server has sent may be read at once, also what belongs to the next message */
    int64_t timeout_s;
};

static int guard_setup(Sockbuf_IO_Desc *d, void *arg)
{
    d->sbiod_pvt = arg;
    return 0;
}

static int guard_remove(Sockbuf_IO_Desc *d)
{
    struct guard *g = d->sbiod_pvt;
    if (g)
        free(g->bytes);
    free(g);
    d->sbiod_pvt = NULL;
    return 0;
}

/* Is there something to be told without reading: a message, or that it is none? */
static bool is_ready(const struct guard *g)
{
    long size = g->have > 0 ? ldap_message_size((view){ .p = g->bytes, .n = g->have }) : 0;
    return g->whole || size < 0 || (size > 0 && g->have >= (size_t)size);
}

static int guard_ctrl(Sockbuf_IO_Desc *d, int opt, void *arg)
{
    struct guard *g = d->sbiod_pvt;
    if (opt == OPT_READ_AHEAD) {
        g->ahead = true;
        return 1;
    }
    if (opt == LBER_SB_OPT_DATA_READY && is_ready(g))
        return 1;
    return LBER_SBIOD_CTRL_NEXT(d, opt, arg);
}

static int guard_close(Sockbuf_IO_Desc *d)
{
    struct guard *g = d->sbiod_pvt;
    g->have = g->size = g->given = 0;
    g->whole = g->timed = g->ahead = false;
    return 0;
}

/* The socket is there by the time of the first byte. */
static void limit_waits(Sockbuf_IO_Desc *d)
{
    struct guard *g = d->sbiod_pvt;
    int fd = -1;
    const struct timeval reading = { .tv_usec = READ_WAIT_MS * 1000 }, writing = { .tv_sec = g->timeout_s };
    if (g->timed || ber_sockbuf_ctrl(d->sbiod_sb, LBER_SB_OPT_GET_FD, &fd) != 1 || fd < 0)
        return;
    g->timed = setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &reading, sizeof(reading)) == 0 &&
               setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &writing, sizeof(writing)) == 0;
}

static void make_room(struct guard *g, size_t size)
{
    if (size <= g->capacity)
        return;
    g->capacity = size;
    g->bytes = mem_need(realloc(g->bytes, size));
}

static ber_slen_t refuse_message(void)
{
    errno = EPROTO;
    return -1;
}

/* How much to read next. Not ahead: up to the end of the message, never beyond; what comes behind it may be for another layer (TLS). */
static size_t wanted_bytes(const struct guard *g, size_t size)
{
    if (g->ahead)
        return (size > CAPACITY_FIRST ? size : CAPACITY_FIRST) - g->have;
    return size > 0 ? size - g->have : g->have < 2 ? 2 - g->have : 1;
}

/* 1: a message is whole, and good; 0: the connection has ended; -1: errno. */
static ber_slen_t fill(Sockbuf_IO_Desc *d)
{
    struct guard *g = d->sbiod_pvt;
    for (;;) {
        long size = ldap_message_size((view){ .p = g->bytes, .n = g->have });
        if (size < 0)
            return refuse_message();
        if (size > 0 && g->have >= (size_t)size) {
            g->size = (size_t)size;
            g->whole = ldap_message_ok((view){ .p = g->bytes, .n = g->size });
            return g->whole ? 1 : refuse_message();
        }
        size_t wanted = wanted_bytes(g, (size_t)size);
        make_room(g, g->have + wanted > CAPACITY_FIRST ? g->have + wanted : CAPACITY_FIRST);
        ber_slen_t got = LBER_SBIOD_READ_NEXT(d, g->bytes + g->have, wanted);
        if (got <= 0)
            return got;
        g->have += (size_t)got;
    }
}

static ber_slen_t guard_read(Sockbuf_IO_Desc *d, void *buf, ber_len_t len)
{
    struct guard *g = d->sbiod_pvt;
    limit_waits(d);
    if (!g->whole) {
        ber_slen_t got = fill(d);
        if (got <= 0)
            return got;
    }
    size_t n = g->size - g->given < len ? g->size - g->given : len;
    memcpy(buf, g->bytes + g->given, n);
    g->given += n;
    if (g->given == g->size) {
        g->have -= g->size;
        memmove(g->bytes, g->bytes + g->size, g->have);
        g->size = g->given = 0;
        g->whole = false;
    }
    return (ber_slen_t)n;
}

static ber_slen_t guard_write(Sockbuf_IO_Desc *d, void *buf, ber_len_t len)
{
    limit_waits(d);
    return LBER_SBIOD_WRITE_NEXT(d, buf, len);
}

static Sockbuf_IO guard_io = { .sbi_setup = guard_setup,
                               .sbi_remove = guard_remove,
                               .sbi_ctrl = guard_ctrl,
                               .sbi_read = guard_read,
                               .sbi_write = guard_write,
                               .sbi_close = guard_close };

rc ldap_guard_install(LDAP *ld, int64_t timeout_s, struct err *e)
{
    Sockbuf *sb = NULL;
    struct guard *g = mem_need(calloc(1, sizeof(*g)));
    g->timeout_s = timeout_s;
    if (ldap_get_option(ld, LDAP_OPT_SOCKBUF, &sb) == LDAP_OPT_SUCCESS && sb &&
        ber_sockbuf_add_io(sb, &guard_io, LBER_SBIOD_LEVEL_APPLICATION, g) == 0)
        return RC_OK;
    free(g);
    return fail(e, RC_BROKEN, RESP_GENERIC, "the LDAP library takes no layer for reading");
}

void ldap_guard_read_ahead(LDAP *ld)
{
    Sockbuf *sb = NULL;
    if (ldap_get_option(ld, LDAP_OPT_SOCKBUF, &sb) == LDAP_OPT_SUCCESS && sb)
        (void)ber_sockbuf_ctrl(sb, OPT_READ_AHEAD, NULL);
}
