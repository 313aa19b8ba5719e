/* The load generator: asks one server with one scenario (work.h) for some seconds, and prints what it found as one JSON object.
 * Everything is bounded: in time, in requests, in connections. */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "tests/load/loop.h"

#define PIDS_MAX    8
#define SECONDS_MAX 3600.0

static const char usage[] =
    "Usage: load --host ADDRESS --port N --node URL --secret TEXT --scenario LETTER [OPTION …]\n"
    "  --scenario A|B|C|D|E|F|P|S|X   what to ask (tests/load/work.h); X needs --path, and sends each --header \"NAME: VALUE\"\n"
    "  --password TEXT                Sync 1.1 with Basic as load<uid>, instead of 1.5 with Hawk\n"
    "  --users N --first-uid N --records N --payload BYTES --post-records N\n"
    "  --connections N --seconds S --warm S --requests N --rate PER_SECOND (open loop)\n"
    "  --pid NAME=PID                 a process whose processor time and memory are told (repeatable)\n"
    "  --seed N\n";

struct watched {
    const char *name;
    int pid;
    int64_t before_us, after_us;
};

struct options {
    struct loop_conf loop;
    struct work_conf work;
    struct users_conf users;
    struct watched pids[PIDS_MAX];
    size_t n_pids;
    struct watched self;
};

/* ---- options ---- */

static bool fail_option(const char *name, const char *value)
{
    fprintf(stderr, "load: --%s cannot be \"%s\"\n%s", name, value, usage);
    return false;
}

static bool take_number(const char *name, const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
    return (view_to_u64(view_of(text), most, out) && *out >= least) || fail_option(name, text);
}

static bool take_real(const char *name, const char *text, double least, double most, double *out)
{
    char *end;

    *out = strtod(text, &end);
    return (*end == '\0' && end != text && *out >= least && *out <= most) || fail_option(name, text);
}

static bool take_pid(struct options *o, char *text)
{
    char *eq = strchr(text, '=');
    uint64_t pid;

    if (!eq || o->n_pids == PIDS_MAX)
        return fail_option("pid", text);
    if (!take_number("pid", eq + 1, 1, INT32_MAX, &pid))
        return false;
    *eq = '\0';
    o->pids[o->n_pids++] = (struct watched){ .name = text, .pid = (int)pid };
    return true;
}

enum which {
    O_HOST = 1,
    O_PORT,
    O_NODE,
    O_SECRET,
    O_SCENARIO,
    O_PATH,
    O_HEADER,
    O_PASSWORD,
    O_USERS,
    O_FIRST,
    O_RECORDS,
    O_PAYLOAD,
    O_POST,
    O_CONNECTIONS,
    O_SECONDS,
    O_WARM,
    O_REQUESTS,
    O_RATE,
    O_PID,
    O_SEED
};

static const struct option_row {
    const char *name;
    uint64_t least, most;
} rows[] = {
    [O_HOST] = { "host", 0, 0 },
    [O_PORT] = { "port", 1, 65535 },
    [O_NODE] = { "node", 0, 0 },
    [O_SECRET] = { "secret", 0, 0 },
    [O_SCENARIO] = { "scenario", 0, 0 },
    [O_PATH] = { "path", 0, 0 },
    [O_HEADER] = { "header", 0, 0 },
    [O_PASSWORD] = { "password", 0, 0 },
    [O_USERS] = { "users", 1, 1000000 },
    [O_FIRST] = { "first-uid", 1, INT64_MAX / 2 },
    [O_RECORDS] = { "records", 1, 1000000 },
    [O_PAYLOAD] = { "payload", RECORD_LEAST, RECORD_MOST / 2 },
    [O_POST] = { "post-records", 1, 10000 },
    [O_CONNECTIONS] = { "connections", 1, 100000 },
    [O_SECONDS] = { "seconds", 0, 0 },
    [O_WARM] = { "warm", 0, 0 },
    [O_REQUESTS] = { "requests", 1, UINT64_C(1000000000) },
    [O_RATE] = { "rate", 0, 0 },
    [O_PID] = { "pid", 0, 0 },
    [O_SEED] = { "seed", 0, INT64_MAX },
};
#define N_ROWS (sizeof rows / sizeof rows[0])

static bool take(struct options *o, enum which which, char *text)
{
    const struct option_row *row = &rows[which];
    uint64_t n = 0;

    if (row->most && !take_number(row->name, text, row->least, row->most, &n))
        return false;
    switch (which) {
    case O_HOST:
        o->loop.host = text;
        return true;
    case O_PORT:
        o->loop.port = (unsigned)n;
        return true;
    case O_NODE:
        o->users.node_url = text;
        return true;
    case O_SECRET:
        o->users.secret = text;
        return true;
    case O_SCENARIO:
        o->work.scenario = text[0];
        return (strchr("ABCDEFPSX", text[0]) && text[0] && !text[1]) || fail_option(row->name, text);
    case O_PATH:
        o->work.path = text;
        return text[0] == '/' || fail_option(row->name, text);
    case O_HEADER:
        if (o->work.n_headers == WORK_HEADERS_MAX || !strchr(text, ':') || strpbrk(text, "\r\n"))
            return fail_option(row->name, text);
        o->work.headers[o->work.n_headers++] = text;
        return true;
    case O_PASSWORD:
        o->users.password = text;
        return true;
    case O_USERS:
        o->users.n = (size_t)n;
        return true;
    case O_FIRST:
        o->users.first_uid = (int64_t)n;
        return true;
    case O_RECORDS:
        o->work.records = (size_t)n;
        return true;
    case O_PAYLOAD:
        o->work.payload_bytes = (size_t)n;
        return true;
    case O_POST:
        o->work.post_records = (size_t)n;
        return true;
    case O_CONNECTIONS:
        o->loop.connections = (size_t)n;
        return true;
    case O_SECONDS:
        return take_real(row->name, text, 0.05, SECONDS_MAX, &o->loop.seconds);
    case O_WARM:
        return take_real(row->name, text, 0, SECONDS_MAX, &o->loop.warm_s);
    case O_REQUESTS:
        o->loop.most = n;
        return true;
    case O_RATE:
        return take_real(row->name, text, 0.1, 1e6, &o->loop.rate);
    case O_PID:
        return take_pid(o, text);
    case O_SEED:
        o->work.seed = n;
        return true;
    }
    return false;
}

static bool read_options(struct options *o, int argc, char **argv)
{
    struct option longs[N_ROWS] = { 0 };
    int which;

    for (size_t i = 1; i < N_ROWS; i++)
        longs[i - 1] = (struct option){ .name = rows[i].name, .has_arg = required_argument, .val = (int)i };
    while ((which = getopt_long(argc, argv, "", longs, NULL)) != -1)
        if (which == '?' || !take(o, (enum which)which, optarg))
            return false;
    if (optind < argc || !o->loop.host || !o->loop.port || !o->work.scenario ||
        (o->work.scenario == 'X' ? !o->work.path : !o->users.node_url || !o->users.secret)) {
        fputs(usage, stderr);
        return false;
    }
    return true;
}

/* ---- the report ---- */

static void on_begin(void *arg)
{
    struct options *o = arg;

    for (size_t i = 0; i < o->n_pids; i++)
        (void)process_cpu_us(o->pids[i].pid, &o->pids[i].before_us);
    (void)process_cpu_us(o->self.pid, &o->self.before_us);
}

static void on_end(void *arg)
{
    struct options *o = arg;

    for (size_t i = 0; i < o->n_pids; i++)
        (void)process_cpu_us(o->pids[i].pid, &o->pids[i].after_us);
    (void)process_cpu_us(o->self.pid, &o->self.after_us);
}

static bool is_good(int status)
{
    /* a session may ask for what it deleted */
    return (status >= 200 && status <= 299) || status == 304 || status == 404;
}

static void print_status(const struct loop_result *r)
{
    const char *comma = "";
    uint64_t good = 0;

    printf("\"status\":{");
    for (int i = 0; i < STATUS_MAX; i++) {
        if (r->status[i] == 0)
            continue;
        good += is_good(i) ? r->status[i] : 0;
        printf("%s\"%d\":%" PRIu64, comma, i, r->status[i]);
        comma = ",";
    }
    printf("},\"good\":%" PRIu64, good);
}

static double per_request(const struct watched *p, const struct loop_result *r)
{
    return r->answered ? (double)(p->after_us - p->before_us) / (double)r->answered : 0;
}

static void print_processes(const struct options *o, const struct loop_result *r)
{
    int64_t now = 0, peak = 0;

    printf("\"cpu_us\":{");
    for (size_t i = 0; i < o->n_pids; i++)
        printf("%s\"%s\":%.3f", i ? "," : "", o->pids[i].name, per_request(&o->pids[i], r));
    printf("},\"memory_kb\":{");
    for (size_t i = 0; i < o->n_pids; i++)
        if (process_memory_kb(o->pids[i].pid, &now, &peak))
            printf("%s\"%s\":{\"now\":%" PRId64 ",\"peak\":%" PRId64 "}", i ? "," : "", o->pids[i].name, now,
                   peak);
    printf("},\"generator_cpu_us\":%.3f", per_request(&o->self, r));
}

static void print_result(const struct options *o, const struct loop_result *r)
{
    const struct times *t = r->times;

    printf("{\"scenario\":\"%c\",\"seconds\":%.3f,\"requests\":%" PRIu64 ",\"rps\":%.2f,", o->work.scenario,
           r->seconds, r->answered, r->seconds > 0 ? (double)r->answered / r->seconds : 0);
    printf("\"latency_us\":{\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p99.9\":%.1f,\"max\":%.1f},",
           times_at(t, 0.5), times_at(t, 0.9), times_at(t, 0.99), times_at(t, 0.999),
           (double)t->most_ns / 1000);
    printf("\"refused_us\":{\"p50\":%.1f,\"p99\":%.1f},", times_at(r->refused, 0.5),
           times_at(r->refused, 0.99));
    print_status(r);
    printf(",\"broken\":%" PRIu64 ",\"unanswered\":%" PRIu64 ",\"not_sent\":%" PRIu64, r->broken,
           r->unanswered, r->not_sent);
    printf(",\"complete\":%s,\"bytes_in\":%" PRIu64 ",\"bytes_out\":%" PRIu64 ",",
           r->complete ? "true" : "false", r->bytes_in, r->bytes_out);
    print_processes(o, r);
    printf("}\n");
}

static void allow_connections(size_t n)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < n + 64) {
        files.rlim_cur = n + 64 < files.rlim_max ? n + 64 : files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files); /* else connecting says so */
    }
}

int main(int argc, char **argv)
{
    struct options o = {
        .loop = { .connections = 16, .seconds = 5, .warm_s = 0.5, .most = UINT64_C(1000000000) },
        .work = { .records = 1000, .payload_bytes = 256, .post_records = 100, .seed = 1 },
        .users = { .n = 40, .first_uid = 1 },
        .self = { .pid = (int)getpid() },
    };
    struct users users = { .n = 0 };
    struct work work;
    struct loop_result result = { .times = NULL };

    signal(SIGPIPE, SIG_IGN);
    if (!read_options(&o, argc, argv))
        return 2;
    if (o.work.scenario != 'X' && !users_init(&users, &o.users))
        return 2;
    allow_connections(o.loop.connections);
    work_init(&work, &o.work, &users);
    bool up = loop_run(&o.loop, &work, on_begin, on_end, &o, &result);
    if (up)
        print_result(&o, &result);
    free(result.times);
    free(result.refused);
    work_done(&work);
    users_done(&users);
    return up ? 0 : 1;
}
