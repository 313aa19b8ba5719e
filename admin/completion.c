/* Shell completion from the table: static words, files, and names of nodes, which the command itself is asked for. */
#include "admin/commands.h"
#include "admin/verbs.h"

/* ---- what all shells need ---- */

/* What an option or an argument may be: words, "@node", "@file", or "". */
static const char *words_of(const struct command_option *o)
{
    return o->type == OPTION_CHOICE ? o->choices
           : o->type == OPTION_NODE ? "@node"
           : o->type == OPTION_FILE ? "@file"
                                    : "";
}

/* First words; second words of `first`. Each once. */
static void put_words(struct buf *b, const char *first)
{
    const struct command *c;
    view seen[64];
    size_t n_seen = 0;
    for (size_t i = 0; (c = command_at(i)); i++) {
        view rest = view_of(c->name), word;
        view_cut(&rest, ' ', &word);
        if (first && (!view_eq(word, view_of(first)) || !view_cut(&rest, ' ', &word)))
            continue;
        bool known = false;
        for (size_t k = 0; k < n_seen; k++)
            known = known || view_eq(seen[k], word);
        if (known || n_seen == sizeof(seen) / sizeof(seen[0]))
            continue;
        seen[n_seen++] = word;
        buf_addf(b, "%s%.*s", b->n > 0 ? " " : "", VIEW_ARG(word));
    }
}

static bool is_single(const struct command *c)
{
    return strchr(c->name, ' ') == NULL;
}

/* ---- bash; zsh runs the same by its own bashcompinit ---- */

static const char bash_head[] =
    "# Completion of heddle-admin; made by: heddle-admin completion bash\n"
    "_heddle_admin_nodes() {\n"
    "    \"$1\" \"${globals[@]}\" node list --names 2>/dev/null\n"
    "}\n"
    "\n"
    "_heddle_admin_words() {\n"
    "    local w\n"
    "    for w in $2; do\n"
    "        case $w in\n"
    "        @node) COMPREPLY+=($(compgen -W \"$(_heddle_admin_nodes \"$1\")\" -- \"$cur\")) ;;\n"
    "        @file) COMPREPLY+=($(compgen -f -- \"$cur\")) ;;\n"
    "        *) COMPREPLY+=($(compgen -W \"$w\" -- \"$cur\")) ;;\n"
    "        esac\n"
    "    done\n"
    "}\n"
    "\n"
    "_heddle_admin() {\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} i=1 command words=() globals=()\n"
    "    COMPREPLY=()\n"
    "    while [ \"$i\" -lt \"$COMP_CWORD\" ]; do\n"
    "        case ${COMP_WORDS[i]} in\n"
    "        --config | --set) globals+=(\"${COMP_WORDS[i]}\" \"${COMP_WORDS[i+1]}\"); i=$((i + 1)) ;;\n"
    "        -*) [ ${#words[@]} -eq 0 ] && globals+=(\"${COMP_WORDS[i]}\") ;;\n"
    "        *) words+=(\"${COMP_WORDS[i]}\") ;;\n"
    "        esac\n"
    "        i=$((i + 1))\n"
    "    done\n"
    "    if [ \"$prev\" = --config ]; then\n"
    "        COMPREPLY=($(compgen -f -- \"$cur\"))\n"
    "        return\n"
    "    fi\n";

/* case "node add" in … : options, then what stands behind them. */
static void bash_command(FILE *out, const struct command *c)
{
    const struct command_option *options[COMMAND_OPTIONS_MAX];
    size_t n = command_options(c, options);
    fprintf(out, "    \"%s\")\n        case $prev in\n", c->name);
    for (size_t i = 0; i < n; i++)
        if (options[i]->type != OPTION_FLAG)
            fprintf(out, "        --%s) _heddle_admin_words \"$1\" \"%s\"; return ;;\n", options[i]->name,
                    words_of(options[i]));
    fputs("        esac\n        if [[ $cur == -* ]]; then\n            _heddle_admin_words \"$1\" \"", out);
    for (size_t i = 0; i < n; i++)
        fprintf(out, "%s--%s", i ? " " : "", options[i]->name);
    fprintf(out, "\"\n        else\n            _heddle_admin_words \"$1\" \"%s\"\n        fi ;;\n",
            c->completes ? c->completes : "");
}

static void bash(FILE *out)
{
    SCOPED(buf_done) struct buf first = { 0 };
    const struct command *c;
    put_words(&first, NULL);
    fputs(bash_head, out);
    fprintf(
        out,
        "    if [ ${#words[@]} -eq 0 ]; then\n        _heddle_admin_words \"$1\" \"%s --config --set\"\n        return\n    fi\n",
        buf_text(&first));
    fputs("    case ${words[0]} in\n", out);
    for (const struct command_group *g = command_groups; g->name; g++) {
        SCOPED(buf_done) struct buf second = { 0 };
        put_words(&second, g->name);
        if (second.n > 0)
            fprintf(
                out,
                "    %s)\n        if [ ${#words[@]} -eq 1 ] && [[ $cur != -* ]]; then\n            _heddle_admin_words \"$1\" \"%s\"\n"
                "        fi ;;\n",
                g->name, buf_text(&second));
    }
    fputs("    esac\n    command=\"${words[0]} ${words[1]-}\"\n    case $command in\n    ", out);
    for (size_t i = 0; (c = command_at(i)); i++)
        if (!is_single(c))
            fprintf(out, "\"%s\" | ", c->name);
    fputs("\"\") ;;\n    *) command=${words[0]} ;;\n    esac\n    case $command in\n", out);
    for (size_t i = 0; (c = command_at(i)); i++)
        bash_command(out, c);
    fputs("    esac\n}\n", out);
}

static void bash_whole(FILE *out)
{
    bash(out);
    fputs("complete -F _heddle_admin heddle-admin\n", out);
}

static void zsh_whole(FILE *out)
{
    fputs("#compdef heddle-admin\nautoload -Uz bashcompinit && bashcompinit\n", out);
    bash(out);
    fputs("complete -F _heddle_admin heddle-admin\n", out);
}

/* ---- fish ---- */

/* In single quotes. */
static void fish_quoted(FILE *out, const char *text)
{
    fputc('\'', out);
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            fputc('\\', out);
        fputc(*text, out);
    }
    fputc('\'', out);
}

static void fish_words(FILE *out, const char *words)
{
    if (strcmp(words, "@node") == 0)
        fputs(" -a '(heddle-admin node list --names 2>/dev/null)'", out);
    else if (strcmp(words, "@file") == 0)
        fputs(" -F", out);
    else if (words[0])
        fprintf(out, " -a '%s'", words);
}

/* -n: where the line is this command, and not one whose name begins so. */
static void fish_where(FILE *out, const struct command *c)
{
    const struct command *d;
    size_t n = strlen(c->name);
    fprintf(out, "complete -c heddle-admin -n '__heddle_admin_in %s", c->name);
    for (size_t i = 0; (d = command_at(i)); i++)
        if (strncmp(d->name, c->name, n) == 0 && d->name[n] == ' ')
            fprintf(out, "; and not __heddle_admin_in %s", d->name);
    fputc('\'', out);
}

static void fish_command(FILE *out, const struct command *c)
{
    const struct command_option *options[COMMAND_OPTIONS_MAX];
    size_t n = command_options(c, options);
    view second = view_of(c->name), first;
    view_cut(&second, ' ', &first);
    if (second.p) {
        fprintf(out, "complete -c heddle-admin -n '__heddle_admin_at %.*s' -a %.*s -d ", VIEW_ARG(first),
                VIEW_ARG(second));
        fish_quoted(out, c->help);
        fputc('\n', out);
    }
    if (c->completes) {
        fish_where(out, c);
        fish_words(out, c->completes);
        fputc('\n', out);
    }
    for (size_t i = 0; i < n; i++) {
        fish_where(out, c);
        fprintf(out, " -l %s%s", options[i]->name,
                options[i]->type == OPTION_FLAG   ? ""
                : options[i]->type == OPTION_FILE ? " -r"
                                                  : " -x");
        fish_words(out, words_of(options[i]));
        fputs(" -d ", out);
        fish_quoted(out, options[i]->help);
        fputc('\n', out);
    }
}

static void fish_whole(FILE *out)
{
    SCOPED(buf_done) struct buf first = { 0 };
    const struct command *c;
    put_words(&first, NULL);
    fputs(
        "# Completion of heddle-admin; made by: heddle-admin completion fish\n"
        "function __heddle_admin_words\n"
        "    set -l skip 0\n"
        "    for w in (commandline -opc)[2..]\n"
        "        if test $skip -eq 1\n            set skip 0\n            continue\n        end\n"
        "        switch $w\n            case --config --set\n                set skip 1\n            case '-*'\n"
        "            case '*'\n                echo $w\n        end\n    end\nend\n"
        "function __heddle_admin_at\n    set -l words (__heddle_admin_words)\n    test \"$words\" = \"$argv\"\nend\n"
        "function __heddle_admin_in\n    set -l words (__heddle_admin_words)\n    test (count $words) -ge (count $argv); or return 1\n"
        "    set -l head $words[1..(count $argv)]\n    test \"$head\" = \"$argv\"\nend\n"
        "complete -c heddle-admin -f\n"
        "complete -c heddle-admin -n __heddle_admin_at -l config -r -F\n"
        "complete -c heddle-admin -n __heddle_admin_at -l set -x\n",
        out);
    fprintf(out, "complete -c heddle-admin -n __heddle_admin_at -a '%s'\n", buf_text(&first));
    for (size_t i = 0; (c = command_at(i)); i++)
        fish_command(out, c);
}

/* ---- the verb ---- */

static int completion(struct admin *a)
{
    static const struct {
        const char *shell;
        void (*write)(FILE *out);
    } shells[] = { { "bash", bash_whole }, { "zsh", zsh_whole }, { "fish", fish_whole } };
    if (a->json)
        return admin_wrong("completion: a script is no JSON; \"heddle-admin help --json\" gives the table");
    for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++)
        if (strcmp(a->argv[0], shells[i].shell) == 0) {
            shells[i].write(a->out);
            return EXIT_DONE;
        }
    return admin_wrong("completion: the shell must be bash, zsh or fish");
}

const struct command completion_commands[] = {
    { .name = "completion",
      .arguments = "bash|zsh|fish",
      .least = 1,
      .most = 1,
      .completes = "bash zsh fish",
      .help = "print a script that completes commands in a shell",
      .examples = { "heddle-admin completion bash > /etc/bash_completion.d/heddle-admin",
                    "heddle-admin completion zsh > /usr/local/share/zsh/site-functions/_heddle-admin",
                    "heddle-admin completion fish > ~/.config/fish/completions/heddle-admin.fish" },
      .run = completion },
    COMMANDS_END,
};
