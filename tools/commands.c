// SPDX-License-Identifier: BSD-3-Clause
// The table of commands. To add one: add a row here; a function only where one call is not enough.
#include "tools/ctl.h"

#include <stdio.h>
#include <string.h>

/* clang-format off */
#define ARGS(...) (const struct ctl_arg[]){ __VA_ARGS__, { .kind = CTL_END } }
#define POS(n, p, h, ...) { .kind = CTL_POS, .name = n, .param = p, .help = h, ##__VA_ARGS__ }
#define REST(n, p, h, ...) { .kind = CTL_REST, .name = n, .param = p, .help = h, ##__VA_ARGS__ }
#define OPT(n, m, p, h, ...) { .kind = CTL_OPT, .name = n, .metavar = m, .param = p, .help = h, ##__VA_ARGS__ }
#define MULTI(n, m, p, h, ...) { .kind = CTL_MULTI, .name = n, .metavar = m, .param = p, .help = h, ##__VA_ARGS__ }
#define FLAG(n, p, h, ...) { .kind = CTL_FLAG, .name = n, .param = p, .help = h, ##__VA_ARGS__ }
#define VIEW(k, ...) &(const struct ctl_view){ .key = k, .columns = (const char *const[]){ __VA_ARGS__, NULL } }

#define VNET OPT("--vnet", "V", "vnet", "virtual network (name or id); the account's default one if absent")
#define KEEPALIVE FLAG("--keepalive", NULL, "let the client send a keepalive every 25 seconds (behind NAT)")
#define ENDPOINT OPT("--endpoint", "HOST:PORT", NULL, "endpoint written into the configuration instead of the edge's first one")
#define CONFIG_OUT \
	OPT("--config-file", "F", NULL, "write the configuration to F (mode 0600; an existing file is refused)", .type = CTL_FILE), \
	FLAG("--qr", NULL, "print the configuration as a QR code"), \
	FLAG("--full", NULL, "send all traffic through the edge (default routes)"), KEEPALIVE, ENDPOINT

#define RULE_OPTS(need) \
	OPT("--precedence", "N", "precedence", "place in the order, lowest first; unique", .type = CTL_INT, .min = 0, .max = 2147483647, .required = need), \
	OPT("--action", "A", "action", "what a match does", .choices = "allow|block|off|audit", .required = need), \
	OPT("--filter", "F", "filters", "which track the rule belongs to", .choices = "l4|http|dns", .wrap = true, .required = need), \
	OPT("--traffic", "E", "traffic", "expression over addresses, ports and names", .type = CTL_CLEARS), \
	OPT("--identity", "E", "identity", "expression over the person", .type = CTL_CLEARS), \
	OPT("--posture", "E", "device_posture", "expression over the device's checks", .type = CTL_CLEARS), \
	OPT("--description", "TEXT", "description", "free text"), \
	OPT("--enabled", "BOOL", "enabled", "whether the rule counts", .type = CTL_BOOL, .choices = "true|false"), \
	OPT("--rule-settings", "JSON", "rule_settings", "further settings, a JSON object", .type = CTL_JSON)

#define ACCOUNT_OPTS \
	OPT("--default-action", "ACTION", "default_action", "verdict where no l4 rule matches", .choices = "allow|block")

#define VIEW_ACCOUNTS VIEW("accounts", "name", "id", "default_action", "device_pool_v4", "device_pool_v6")
#define VIEW_TUNNELS VIEW("tunnels", "name", "id", "status", "status_since", "live", "affinity", "sessions")
#define VIEW_ROUTES VIEW("routes", "network", "tunnel_name", "vnet_name", "comment", "id")
#define VIEW_VNETS VIEW("vnets", "name", "id", "is_default", "comment")
#define VIEW_LISTS VIEW("lists", "name", "id", "type", "item_count")
#define VIEW_RULES VIEW("rules", "precedence", "name", "enabled", "action", "filters", "traffic", "identity", "device_posture", "id")
#define VIEW_CLIENTS VIEW("clients", "name", "email", "groups", "addresses", "vnet_name", "enabled", "expires_at", "last_handshake", "endpoint", "id")
#define VIEW_CONNECTORS VIEW("connectors", "id", "tunnel_name", "hostname", "version", "mode", "remote", "weight", "draining", "sessions", "since")

#define W .side = CTL_CTRL, .write = true
#define R .side = CTL_CTRL
#define ASK .destructive = true

const struct ctl_resource ctl_resources[] = {
	{ "account", "accounts: each with its own tunnels, routes, lists, rules and clients" },
	{ "settings", "settings of the edge" },
	{ "tunnel", "tunnels: what connectors dial out for" },
	{ "route", "routes: which private network lies behind which tunnel" },
	{ "vnet", "virtual networks: routing tables that may overlap" },
	{ "list", "lists of addresses, domains, e-mail addresses or serial numbers" },
	{ "rule", "rules: who may go where" },
	{ "client", "clients: people's devices with a stock WireGuard" },
	{ "connector", "connectors that are registered now" },
	{ "deny", "networks refused at the front door" },
	{ "apply", "bring everything to what a file says, in one transaction" },
	{ "export", "print everything as a document that apply takes" },
	{ "history", "past revisions" },
	{ "rollback", "go back to an earlier revision" },
	{ "show", "what the edge and sluice-ctrl see now" },
	{ "top", "busiest clients and flows" },
	{ "explain", "why a client may, or may not, reach a destination" },
	{ "trace", "live packets, stage by stage, with verdict" },
	{ "capture", "live packets into a pcapng file" },
	{ "logs", "flow log: who, what, rule, verdict, bytes" },
	{ "completion", "print the completion script of a shell" },
	{ "man", "print the manual page (roff)" },
	{ "help", "help on a command" },
	{ NULL, NULL },
};

const struct ctl_arg ctl_globals[] = {
	OPT("--socket", "PATH", NULL, "socket of sluice-ctrl (environment: SLUICE_CTRL_SOCKET; default " CTL_DEFAULT_CTRL_SOCKET ")", .type = CTL_FILE),
	OPT("--edge-socket", "PATH", NULL, "socket of sluice-edge (environment: SLUICE_EDGE_SOCKET; default " CTL_DEFAULT_EDGE_SOCKET ")", .type = CTL_FILE),
	OPT("--account", "A", NULL, "account (name or id); the default account if absent"),
	FLAG("--json", NULL, "print the result, or the error, as one JSON document on stdout"),
	FLAG("--yes", NULL, "do not ask before something is deleted", .letter = 'y'),
	OPT("--timeout", "S", NULL, "seconds to wait for the servers and for the edges to apply a change (default 10)", .type = CTL_INT, .min = 1, .max = 86400),
	FLAG("--no-wait", NULL, "return when a change is stored, before the edges have applied it"),
	FLAG("--help", NULL, "this help", .letter = 'h'),
	FLAG("--version", NULL, "version"),
	{ .kind = CTL_END },
};

const struct ctl_command ctl_commands[] = {
	{ "account", "create", W, .args = ARGS(
		POS("NAME", "name", "name of the new account"), ACCOUNT_OPTS,
		OPT("--device-pool-v4", "CIDR", "device_pool_v4", "IPv4 addresses for clients"),
		OPT("--device-pool-v6", "CIDR", "device_pool_v6", "IPv6 addresses for clients")),
	  .help = "create an account (it blocks by default)" },
	{ "account", "list", R, .view = VIEW_ACCOUNTS, .help = "list the accounts" },
	{ "account", "show", R, .args = ARGS(POS("ACCOUNT", "account", "name or id")), .help = "show an account" },
	{ "account", "set", W, .args = ARGS(
		POS("ACCOUNT", "account", "name or id"), ACCOUNT_OPTS, OPT("--name", "NAME", "name", "new name")),
	  .help = "change an account" },
	{ "account", "delete", W, ASK, .args = ARGS(POS("ACCOUNT", "account", "name or id")), .help = "delete an account" },

	{ "settings", "get", R, .args = ARGS(POS("KEY", "key", "one setting; all if absent", .optional = true)),
	  .view = VIEW("settings", "key", "value", "default", "description"), .help = "show the settings, or one" },
	{ "settings", "set", W, .args = ARGS(
		POS("KEY", "key", "which setting"), POS("VALUE", "value", "its value", .type = CTL_SCALAR)),
	  .help = "change a setting" },

	{ "tunnel", "create", W, .run = run_tunnel_create, .args = ARGS(
		POS("NAME", "name", "name of the new tunnel"),
		OPT("--secret-file", "F", NULL, "take the secret (base64, at least 32 bytes) from F instead of making one", .type = CTL_FILE),
		OPT("--credentials-file", "F", NULL, "write the credentials to F (mode 0400; an existing file is refused); <tunnel id>.json if neither file is given", .type = CTL_FILE),
		OPT("--id", "UUID", "id", "id of the tunnel, made if absent")),
	  .help = "create a tunnel and write its credentials file" },
	{ "tunnel", "list", R, .view = VIEW_TUNNELS, .help = "list the tunnels" },
	{ "tunnel", "show", R, .args = ARGS(POS("TUNNEL", "tunnel", "name or id")), .help = "show a tunnel and its connectors" },
	{ "tunnel", "set", W, .args = ARGS(
		POS("TUNNEL", "tunnel", "name or id"), OPT("--name", "NAME", "name", "new name"),
		OPT("--affinity", "A", "affinity", "client: all flows of a client go to one connector", .choices = "none|client"),
		OPT("--sessions", "N", "sessions", "sessions of a connector with an edge, at most", .type = CTL_INT, .min = 1, .max = 8)),
	  .help = "change a tunnel" },
	{ "tunnel", "rotate", W, .run = run_tunnel_rotate, .args = ARGS(
		POS("TUNNEL", "tunnel", "name or id"),
		OPT("--secret-file", "F", NULL, "take the new secret from F instead of making one", .type = CTL_FILE),
		OPT("--credentials-file", "F", NULL, "write the new credentials to F (mode 0400; an existing file is refused); <tunnel id>.json if neither file is given", .type = CTL_FILE)),
	  .help = "give a tunnel a new secret; the old one serves for an overlap" },
	{ "tunnel", "delete", W, ASK, .args = ARGS(
		POS("TUNNEL", "tunnel", "name or id"), FLAG("--force", "force", "also with live connectors and routes")),
	  .help = "delete a tunnel and cut its sessions" },
	{ "tunnel", "token", R, .run = run_tunnel_token, .method = "tunnel.show", .args = ARGS(
		POS("TUNNEL", "tunnel", "name or id"),
		OPT("--credentials-file", "F", NULL, "credentials file of this tunnel", .type = CTL_FILE, .required = true)),
	  .help = "print the credentials of a tunnel as one token" },

	{ "route", "add", W, .args = ARGS(
		POS("CIDR", "network", "private network, v4 or v6"), POS("TUNNEL", "tunnel", "name or id"), VNET,
		OPT("--comment", "C", "comment", "free text")),
	  .help = "send a private network through a tunnel" },
	{ "route", "list", R, .view = VIEW_ROUTES, .args = ARGS(VNET, OPT("--tunnel", "T", "tunnel", "only those of one tunnel")),
	  .help = "list the routes" },
	{ "route", "get", R, .args = ARGS(POS("CIDR", "network", "exactly this network"), VNET), .help = "show the route of exactly this network" },
	{ "route", "lookup", R, .args = ARGS(POS("IP", "ip", "an address"), VNET), .help = "show which route an address takes (longest prefix)" },
	{ "route", "delete", W, ASK, .args = ARGS(POS("CIDR", "network", "exactly this network"), VNET), .help = "delete a route" },

	{ "vnet", "create", W, .args = ARGS(POS("NAME", "name", "name of the new virtual network"), OPT("--comment", "C", "comment", "free text")),
	  .help = "create a virtual network" },
	{ "vnet", "list", R, .view = VIEW_VNETS, .help = "list the virtual networks" },
	{ "vnet", "delete", W, ASK, .args = ARGS(
		POS("VNET", "vnet", "name or id"), FLAG("--force", "force", "also with routes; its clients move to the default one")),
	  .help = "delete a virtual network" },
	{ "vnet", "default", W, .args = ARGS(POS("VNET", "vnet", "name or id")), .help = "make a virtual network the default one" },

	{ "list", "create", W, .run = run_list_items, .args = ARGS(
		POS("NAME", "name", "name of the new list"),
		OPT("--type", "TYPE", "type", "what the items are", .choices = "IP|DOMAIN|EMAIL|SERIAL", .required = true),
		REST("ITEM", NULL, "items", .optional = true),
		OPT("--from", "FILE", NULL, "also the items of FILE: one a line, '#' comments, or CSV with the header value,description", .type = CTL_FILE)),
	  .help = "create a list" },
	{ "list", "list", R, .view = VIEW_LISTS, .help = "list the lists" },
	{ "list", "show", R, .args = ARGS(POS("LIST", "list", "name or id")), .help = "show a list with its items" },
	{ "list", "add", W, .run = run_list_items, .args = ARGS(
		POS("LIST", "list", "name or id"), REST("ITEM", NULL, "items", .optional = true),
		OPT("--from", "FILE", NULL, "also the items of FILE", .type = CTL_FILE)),
	  .help = "add items to a list" },
	{ "list", "remove", W, .run = run_list_items, .args = ARGS(
		POS("LIST", "list", "name or id"), REST("ITEM", NULL, "items", .optional = true),
		OPT("--from", "FILE", NULL, "also the items of FILE", .type = CTL_FILE)),
	  .help = "remove items from a list" },
	{ "list", "delete", W, ASK, .args = ARGS(POS("LIST", "list", "name or id")), .help = "delete a list" },

	{ "rule", "create", W, .args = ARGS(POS("NAME", "name", "name of the new rule"), RULE_OPTS(true)), .help = "create a rule" },
	{ "rule", "list", R, .view = VIEW_RULES, .help = "list the rules in their order" },
	{ "rule", "show", R, .args = ARGS(POS("RULE", "rule", "name or id")), .help = "show a rule" },
	{ "rule", "set", W, .args = ARGS(POS("RULE", "rule", "name or id"), OPT("--name", "NAME", "name", "new name"), RULE_OPTS(false)),
	  .help = "change a rule; an empty expression removes it" },
	{ "rule", "enable", W, .args = ARGS(POS("RULE", "rule", "name or id")), .help = "let a rule count" },
	{ "rule", "disable", W, .args = ARGS(POS("RULE", "rule", "name or id")), .help = "skip a rule" },
	{ "rule", "delete", W, ASK, .args = ARGS(POS("RULE", "rule", "name or id")), .help = "delete a rule" },

	{ "client", "add", W, .run = run_client_add, .args = ARGS(
		POS("NAME", "name", "name of the new client"),
		OPT("--email", "E", "email", "whose device it is", .required = true),
		MULTI("--group", "G", "groups", "a group of this person; may be repeated"),
		OPT("--public-key", "K", NULL, "the device's public key (base64) when it keeps its private key to itself; made here if absent"),
		VNET, OPT("--expires", "T", "expires_at", "when it ends: RFC 3339, or 12h, 30d from now", .type = CTL_TIME),
		MULTI("--rate", "R", "rate", "cap of each direction: 100mbit, 20kpps, or none; may be repeated, bits and packets", .type = CTL_RATE), CONFIG_OUT),
	  .help = "add a client and print its WireGuard configuration, once" },
	{ "client", "list", R, .view = VIEW_CLIENTS, .help = "list the clients" },
	{ "client", "show", R, .args = ARGS(POS("CLIENT", "client", "name or id")), .help = "show a client" },
	{ "client", "config", R, .run = run_client_config, .args = ARGS(
		POS("CLIENT", "client", "name or id"),
		OPT("--private-key-file", "F", NULL, "the client's private key, or its present configuration file", .type = CTL_FILE, .required = true), CONFIG_OUT),
	  .help = "print the WireGuard configuration of a client whose private key you have" },
	{ "client", "rotate", W, .run = run_client_rotate, .args = ARGS(
		POS("CLIENT", "client", "name or id"),
		OPT("--public-key", "K", NULL, "the new public key (base64); made here if absent"),
		OPT("--overlap", "TIME", "overlap_s", "how long the old key still serves", .type = CTL_DURATION), CONFIG_OUT),
	  .help = "give a client a new key and print its new configuration" },
	{ "client", "set", W, .args = ARGS(
		POS("CLIENT", "client", "name or id"), OPT("--email", "E", "email", "whose device it is"),
		MULTI("--group", "G", "groups", "groups of this person, replacing the present ones"),
		VNET, OPT("--enabled", "BOOL", "enabled", "whether it may connect", .type = CTL_BOOL, .choices = "true|false"),
		OPT("--expires", "T", "expires_at", "when it ends: RFC 3339, 12h, 30d from now, or never", .type = CTL_TIME),
		MULTI("--rate", "R", "rate", "cap of each direction: 100mbit, 20kpps, or none; may be repeated, bits and packets", .type = CTL_RATE)),
	  .help = "change a client" },
	{ "client", "posture", W, .args = ARGS(
		POS("CLIENT", "client", "name or id"), POS("CHECK", "check", "name or id of the check"),
		POS("RESULT", "passed", "its result", .type = CTL_BOOL, .choices = "pass|fail"),
		OPT("--expires", "T", "expires_at", "how long the result counts: RFC 3339, or 10m, 12h from now", .type = CTL_TIME)),
	  .help = "record the result of a posture check" },
	{ "client", "revoke", W, ASK, .args = ARGS(POS("CLIENT", "client", "name or id")), .help = "cut a client off at once and for good" },
	{ "client", "delete", W, ASK, .args = ARGS(POS("CLIENT", "client", "name or id")), .help = "delete a client" },

	{ "connector", "list", R, .view = VIEW_CONNECTORS, .args = ARGS(OPT("--tunnel", "T", "tunnel", "only those of one tunnel")),
	  .help = "list the connectors" },
	{ "connector", "drain", W, .args = ARGS(POS("CONNECTOR", "connector", "id")), .help = "send no new flows to a connector" },
	{ "connector", "undrain", W, .args = ARGS(POS("CONNECTOR", "connector", "id")), .help = "send new flows to a connector again" },
	{ "connector", "weight", W, .args = ARGS(
		POS("CONNECTOR", "connector", "id"), POS("N", "weight", "share of new flows; 0 for none", .type = CTL_INT, .min = 0, .max = 256)),
	  .help = "set a connector's share of new flows" },

	{ "deny", "add", W, .args = ARGS(REST("CIDR", "networks", "networks whose packets are dropped on arrival")), .help = "refuse networks at the front door" },
	{ "deny", "remove", W, .args = ARGS(REST("CIDR", "networks", "networks")), .help = "let networks in again" },
	{ "deny", "list", R, .view = VIEW("deny", "network", "comment"), .help = "list the refused networks" },

	{ "apply", NULL, W, .run = run_apply, .args = ARGS(
		OPT("--file", "FILE", NULL, "YAML or JSON document; - for standard input", .type = CTL_FILE, .letter = 'f', .required = true),
		FLAG("--dry-run", "dry_run", "print the plan, change nothing"),
		FLAG("--prune", "prune", "also delete what the document does not name")),
	  .help = "bring everything to what a file says, in one transaction; prints the plan" },
	{ "export", NULL, R, .run = run_export, .args = ARGS(
		OPT("--output", "FORMAT", NULL, "yaml if absent", .letter = 'o', .choices = "yaml|json")),
	  .help = "print everything as a document that apply takes" },
	{ "history", NULL, R, .args = ARGS(OPT("--limit", "N", "limit", "that many, newest first", .type = CTL_INT, .min = 1, .max = 1000000)),
	  .view = VIEW("history", "revision", "at", "uid", "gid", "comm", "method", "changed"), .help = "list past revisions: who, when, what" },
	{ "rollback", NULL, W, ASK, .args = ARGS(POS("REVISION", "revision", "the revision to go back to", .type = CTL_INT, .min = 0, .max = 9007199254740992)),
	  .help = "bring everything back to an earlier revision, as a new one" },

#define WATCH OPT("--watch", "S", NULL, "again every S seconds", .type = CTL_INT, .min = 1, .max = 86400)
#define HUMAN FLAG("--human", NULL, "numbers as 12.3k, sizes as 4.5MiB")
#define SHOW(v, w, h, ...) { "show", v, .side = CTL_EDGE, .run = run_show, .view = w, .args = ARGS(WATCH, HUMAN, ##__VA_ARGS__), .help = h }
	SHOW("health", NULL, "what is well and what is not, on both sides"),
	SHOW("counters", NULL, "packets, bytes, drops, sessions and flows of the edge"),
	SHOW("drops", VIEW("drops", "reason", "count", "text"), "dropped packets by reason",
	     FLAG("--all", "all", "also reasons that never occurred")),
	SHOW("workers", NULL, "the edge's workers"),
	SHOW("stages", VIEW("stages", "stage", "calls", "packets", "packets_per_call", "cycles_per_packet", "text"), "packets and cycles of each stage"),
	SHOW("sessions", VIEW("sessions", "kind", "client", "email", "connector_id", "hostname", "tunnel", "session_index", "live", "worker", "endpoint",
	     "last_handshake", "rtt_us", "rx_packets", "rx_bytes", "tx_packets", "tx_bytes", "handoffs"), "WireGuard sessions",
	     OPT("--client", "C", "client", "only those of one client (name, e-mail address or id)"),
	     OPT("--connector", "ID", "connector", "only those of one connector (id or host name)"),
	     OPT("--limit", "N", "limit", "at most so many (1,000 if absent)", .type = CTL_INT, .min = 1, .max = 10000)),
	SHOW("flows", VIEW("flows", "proto", "client", "src", "sport", "dst", "dport", "verdict", "rule", "tunnel", "hostname", "session_index",
	     "packets_up", "bytes_up", "packets_down", "bytes_down", "age_s", "idle_s", "worker"), "flows",
	     OPT("--client", "C", "client", "only those of one client (name, e-mail address or id)"),
	     OPT("--dst", "CIDR", "dst", "only those to this network"),
	     OPT("--limit", "N", "limit", "at most so many (1,000 if absent)", .type = CTL_INT, .min = 1, .max = 10000)),
	SHOW("hits", VIEW("hits", "rule", "client", "email", "network", "vnet", "tunnel", "account", "flows_allowed", "flows_blocked", "packets_blocked",
	     "packets_up", "bytes_up", "packets_down", "bytes_down", "rule_id", "client_id"), "what rules, routes or clients let through and refused, the most bytes first",
	     OPT("--by", "WHAT", "by", "counters of what (rule if absent)", .choices = "rule|route|client"),
	     OPT("--limit", "N", "limit", "at most so many (100 if absent)", .type = CTL_INT, .min = 1, .max = 10000)),
	SHOW("ports", NULL, "ports and their queues"),
	SHOW("tables", VIEW("tables", "table", "used", "capacity", "memory_bytes", "refused"), "tables: entries, capacity, memory"),
	SHOW("revision", NULL, "configured and applied revision of every edge"),

	{ "top", NULL, .side = CTL_EDGE, .args = ARGS(OPT("--limit", "N", "limit", "at most so many", .type = CTL_INT, .min = 1, .max = 1000)),
	  .help = "busiest clients and flows" },
	{ "explain", NULL, .side = CTL_EDGE, .run = run_explain, .args = ARGS(
		OPT("--client", "C", "client", "name or id", .required = true), OPT("--dst", "IP", "dst", "destination address", .required = true),
		OPT("--dport", "P", "dport", "destination port", .type = CTL_INT, .min = 0, .max = 65535),
		OPT("--proto", "P", "proto", "protocol", .choices = "tcp|udp|icmp"),
		OPT("--host", "NAME", "host", "host name that inspection would see")),
	  .help = "which route, tunnel, rule and connector, and why" },
	{ "trace", NULL, .side = CTL_EDGE, .run = run_trace, .args = ARGS(
		OPT("--client", "C", "client", "only packets of one client"), OPT("--dst", "CIDR", "dst", "only packets to this network"),
		FLAG("--dropped", "dropped", "only packets that are dropped"),
		OPT("--count", "N", "count", "end after so many packets", .type = CTL_INT, .min = 1, .max = 1000000)),
	  .help = "live packets, stage by stage, with verdict" },
	{ "capture", NULL, .side = CTL_EDGE, .run = run_capture, .args = ARGS(
		OPT("--write", "FILE", NULL, "pcapng file", .type = CTL_FILE, .letter = 'w', .required = true),
		OPT("--client", "C", "client", "only packets of one client"), FLAG("--inner", "inner", "decrypted packets (if absent too)"),
		FLAG("--outer", "outer", "packets as they are on the wire"),
		OPT("--count", "N", "count", "end after so many packets", .type = CTL_INT, .min = 1, .max = 100000000)),
	  .help = "live packets into a pcapng file" },
	{ "logs", NULL, .side = CTL_EDGE, .run = run_logs, .args = ARGS(
		FLAG("--follow", NULL, "go on with new lines, after the last ten"), FLAG("--denied", "denied", "only what was refused"),
		OPT("--client", "C", "client", "only those of one client (name, e-mail address or id)"),
		OPT("--limit", "N", "limit", "of the lines that there are, the last so many", .type = CTL_INT, .min = 0, .max = 1000000)),
	  .help = "flow log: who, what, rule, verdict, bytes" },

	{ "completion", NULL, .side = CTL_LOCAL, .run = run_completion, .args = ARGS(POS("SHELL", NULL, "which shell", .choices = "bash")),
	  .help = "print the completion script of a shell" },
	{ "man", NULL, .side = CTL_LOCAL, .run = run_man, .help = "print the manual page (roff)" },
	{ "help", NULL, .side = CTL_LOCAL, .run = run_help, .args = ARGS(REST("COMMAND", NULL, "a command", .optional = true)),
	  .help = "help on a command" },
	{ .resource = NULL },
};
/* clang-format on */

const struct ctl_command *ctl_command_first(const char *resource)
{
	for (const struct ctl_command *c = ctl_commands; c->resource; c++)
		if (!strcmp(c->resource, resource))
			return c;
	return NULL;
}

const struct ctl_command *ctl_command_find(const char *resource, const char *verb)
{
	for (const struct ctl_command *c = ctl_command_first(resource); c && c->resource; c++) {
		if (strcmp(c->resource, resource))
			break;
		if (!c->verb || (verb && !strcmp(c->verb, verb)))
			return c;
	}
	return NULL;
}

void ctl_command_method(const struct ctl_command *cmd, char *buf, size_t size)
{
	if (cmd->method)
		snprintf(buf, size, "%s", cmd->method);
	else
		snprintf(buf, size, "%s%s%s", cmd->resource, cmd->verb ? "." : "", cmd->verb ? cmd->verb : "");
}
