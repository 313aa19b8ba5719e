/* Hawk request signatures: verifying for public clients and internal callers, signing for outgoing calls.
 * Protocol: Hawk 1 (header type), as Firefox Sync uses it; the choices: docs/protocol-notes.md. Any thread. */
#ifndef HEDDLE_AUTH_HAWK_H
#define HEDDLE_AUTH_HAWK_H

#include "common/auth/secrets.h"
#include "common/base/arena.h"
#include "common/base/buf.h"

#define HAWK_HEADER_MAX 8192
#define HAWK_MAC_TEXT   44 /* b64 of 32 bytes */

struct hawk_header {
    view id, ts_text, nonce, mac;
    view hash, ext; /* VIEW_NONE: absent */
    int64_t ts;
};

/* What was signed. host: lower or any case, brackets stay on IPv6; it is lower-cased here. */
struct hawk_request {
    view method; /* any case */
    view target; /* path and query, byte for byte as on the request line */
    view host;
    unsigned port;
};

/* Parses the value of an Authorization header; views live in the arena. false: not a usable Hawk header (*out_why is a
 * constant text for the log: "missing_prefix", "missing_id", "parse_error"). */
bool hawk_parse(view header, struct arena *a, struct hawk_header *out, const char **out_why);

/* The MAC of h over r under key (text). */
void hawk_mac(view key, const struct hawk_header *h, const struct hawk_request *r, char out[HAWK_MAC_TEXT]);
/* Constant time. Tries once more without a bare trailing "?" of the target. */
bool hawk_check(view key, const struct hawk_header *h, const struct hawk_request *r);

/* b64 SHA-256 of "hawk.1.payload" LF content-type LF body LF, and whether h->hash says the same. */
void hawk_payload_hash(view content_type, view body, char out[HAWK_MAC_TEXT]);
bool hawk_payload_ok(const struct hawk_header *h, view content_type, view body);

/* What a request may have been signed as, beside what it is. */
struct hawk_guess {
    const view *hosts;
    size_t n_hosts;
    const unsigned *ports;
    size_t n_ports;
    const view *targets;
    size_t n_targets;
};

/* After a failed check: which of method, path, host and port would have made the MAC fit? Tries the given alternatives (all
 * hosts and ports we know of, other methods, the target with and without the base path, …), those with the fewest
 * differences first and at most 256, and names what differed in *out (arena), e.g. "port: signed 443, checked 8000".
 * false: none of them. For the log only. */
bool hawk_diagnose(view key, const struct hawk_header *h, const struct hawk_request *r,
                   const struct hawk_guess *g, struct arena *a, view *out);

/* Signs: the value of an Authorization header. hash: VIEW_NONE or what hawk_payload_hash made. */
void hawk_sign(view id, view key, const struct hawk_request *r, int64_t ts, view nonce, view hash,
               struct buf *out);

/* Memory of (id, ts, nonce) for strict mode and for internal calls: bounded; when full the oldest are forgotten, so a
 * good request is never refused. Thread-safe. */
struct nonces;
struct nonces *nonces_new(size_t capacity, int64_t keep_s);
void nonces_free(struct nonces *n);
bool nonces_fresh(struct nonces *n, view id, int64_t ts, view nonce, int64_t now_s); /* false: seen before */

#endif
