// Every setting there is. The parser, the environment's names, masking, `troop check` and docs/configuration.md
// are made from this table and from nothing else; config.ts turns its values into the Config that code reads.
import type { Address } from '../base/address.ts'

interface Common {
  /** What it is for, in sentences; what gets better and worse as it grows. */
  readonly help: string
  /** Whether `troop reload` applies a change; otherwise it takes a restart. */
  readonly reload: boolean
  /** Shown as `******` wherever a configuration is shown. */
  readonly secret?: true
  /** A name that older configurations use. */
  readonly alias?: string
  /** Accepted, but without effect: the reason, told to whoever sets it. */
  readonly inert?: string
}

/**
 * A default is written as a file would write it and goes through the same parser. A setting without one is
 * undefined until it is given; `instead` says in words what happens then.
 */
export type Setting = Common &
  (
    | {
        type: 'text'
        default?: string
        instead?: string
        choices?: readonly string[]
        form?: Form
      }
    | {
        type: 'number'
        default?: number
        instead?: string
        unit?: string
        /** The lowest and highest values that are allowed. */
        minimum: number
        maximum?: number
        whole?: true
      }
    | { type: 'boolean'; default: boolean }
    /** A number with its unit, `250ms`, `1s`, `2m`, `1h`; the value is in milliseconds. */
    | { type: 'duration'; default?: string; instead?: string; minimum: string }
    /** `host:port`; port 0 lets the system choose. */
    | { type: 'address'; default?: string; instead?: string }
    /** `IPv4:port`. */
    | { type: 'ip-address'; default?: string; instead?: string }
    /** A file or directory; `~/` is the home directory, other relative paths start at the current directory. */
    | { type: 'path'; default?: string; instead?: string }
    /** A path of a file that must be readable when the configuration is read. */
    | { type: 'file'; instead?: string }
    /** Texts. `items` says what each must be. `single`: one text stands for a list of one. */
    | { type: 'list'; default: readonly string[]; single?: true; items?: Form }
    /** Whatever it is, it is not read. */
    | { type: 'ignored'; inert: string }
  )

/** Texts that mean something: parse.ts says for each what is wrong with one. */
export type Form = 'ip-or-cidr' | 'origin' | 'key' | 'token' | 'postgres-url'

export const settings = {
  working_dir: {
    type: 'path',
    default: '~/.troop',
    alias: 'nginx_working_dir',
    reload: false,
    help: "Where a node keeps its name, pid, control token and logs. One node per directory: the directory is the node's identity, so a restart keeps its name.",
  },
  workers: {
    type: 'number',
    instead: 'one per core',
    minimum: 1,
    maximum: 256,
    whole: true,
    reload: false,
    help: 'Threads that serve proxied traffic. More use more cores and memory: each has a cache of its own. Where a port can have one listener alone (macOS, Windows), it is one thread, whatever is asked for, and the start says so.',
  },
  worker_timeout: {
    type: 'duration',
    default: '10s',
    minimum: '0ms',
    reload: true,
    help: 'A worker that stands still for so long, in a loop of a plugin that does not end or in a call that does not return, is ended with its connections and replaced; the log names the plugin. `0ms` never does that. Shorter gives the other clients of a worker less to wait for, and ends plugins that compute for long; at least 1s.',
  },
  custom_plugins: {
    type: 'list',
    default: [],
    reload: true,
    help: 'Plugins to load besides the shipped ones: names of installed modules, or paths, which start at the directory of the configuration file.',
  },
  memory_cache_size: {
    type: 'number',
    default: 128,
    unit: 'MB',
    minimum: 32,
    reload: false,
    help: 'Memory for cached entities, by estimated size: half for the cache that the node has for all its workers, half shared equally by the caches of the workers. An entry larger than a tenth of a cache is not kept there. Smaller means more reads of the datastore for the same traffic, and fewer requests served while it is away.',
  },
  filter_keys_max: {
    type: 'number',
    default: 10_000_000,
    minimum: 0,
    whole: true,
    reload: false,
    help: 'A node knows the keys of all credentials, so that a key which clients make up costs no read of the datastore. Up to this many, 9 to 15 bytes each, besides `memory_cache_size`; with more of them, or with 0, made-up keys are read again.',
  },
  'metrics.apis_max': {
    type: 'number',
    default: 200,
    minimum: 0,
    maximum: 10_000,
    whole: true,
    reload: false,
    help: 'APIs that have series of their own in `GET /metrics`, the oldest ones; all others are shown together as `other`. Each that has traffic is some 30 series here and in whatever scrapes this node, and 700 bytes for each worker.',
  },
  log_level: {
    type: 'text',
    default: 'info',
    choices: ['debug', 'info', 'warn', 'error'],
    reload: false,
    help: 'Lines below this level are not logged. `debug` logs each event.',
  },

  proxy_listen: {
    type: 'address',
    default: '0.0.0.0:8000',
    reload: false,
    help: 'Where proxied traffic comes in.',
  },
  proxy_listen_ssl: {
    type: 'address',
    default: '0.0.0.0:8443',
    reload: false,
    help: 'Where proxied traffic comes in over TLS (1.2 and 1.3).',
  },
  ssl_cert_path: {
    type: 'file',
    instead: 'one for localhost that the node makes and keeps in `working_dir`',
    reload: true,
    help: "Certificate chain (PEM) for `proxy_listen_ssl`, the server's own first. Needs `ssl_key_path`. A reload reads both files again.",
  },
  ssl_key_path: {
    type: 'file',
    instead: 'one beside that certificate',
    reload: true,
    help: 'Private key (PEM, without a passphrase) of `ssl_cert_path`.',
  },
  trusted_ips: {
    type: 'list',
    default: [],
    items: 'ip-or-cidr',
    reload: true,
    help: 'Addresses and CIDR ranges whose `X-Forwarded-For` is believed; with any, `X-Troop-Min-Position` counts from these clients alone. Listing more than your own load balancers lets clients choose the address that they are seen under.',
  },
  'proxy.connect_timeout': {
    type: 'duration',
    default: '60s',
    minimum: '1ms',
    reload: true,
    help: 'How long a connection to an upstream may take. Longer waits out slow upstreams and holds more requests open while one is down.',
  },
  'proxy.send_timeout': {
    type: 'duration',
    default: '60s',
    minimum: '1ms',
    reload: true,
    help: 'How long an upstream may go without taking more of a request.',
  },
  'proxy.read_timeout': {
    type: 'duration',
    default: '60s',
    minimum: '1ms',
    reload: true,
    help: 'How long an upstream may go without sending more of a response, and a WebSocket without a byte in either direction.',
  },
  'proxy.upstream_verify': {
    type: 'boolean',
    default: true,
    reload: true,
    help: 'Whether certificate and name of HTTPS upstreams are checked. Without it, whoever stands between can read and change everything.',
  },
  'proxy.upstream_certificate_authority': {
    type: 'file',
    instead: "the system's authorities alone (where it has none, Node's list)",
    reload: true,
    help: 'Certificates (PEM) of authorities that may have signed those of HTTPS upstreams, besides the usual ones. A reload reads the file again.',
  },
  'proxy.upstream_spares': {
    type: 'number',
    default: 0,
    minimum: 0,
    maximum: 100,
    whole: true,
    reload: true,
    help: 'Connections that a worker keeps idle for each HTTP/1.1 upstream in use, so that a request beside the running ones finds one that is open. They are opened when a request takes one that was open already, and closed after 30 seconds like all that nobody uses. More spare more requests the handshakes while concurrency grows; each is a connection more for the upstream, from each worker of each node, a handshake more every 30 seconds, and a thread or process where each connection has one.',
  },
  'proxy.min_position_wait': {
    type: 'duration',
    default: '1s',
    minimum: '0ms',
    reload: true,
    help: 'How long a request with `X-Troop-Min-Position` waits for the node to get there before it is answered 503. Longer makes fewer of them come again, and holds more while a node is behind.',
  },
  'proxy.tls_handshake_timeout': {
    type: 'duration',
    default: '10s',
    minimum: '100ms',
    reload: false,
    help: 'How long a client may take for its handshake.',
  },
  'proxy.head_timeout': {
    type: 'duration',
    default: '60s',
    minimum: '100ms',
    reload: false,
    help: 'How long the head of a request may take, from its first byte or from the beginning of the connection, however it trickles. Then it is answered 408; a client that never said a word is closed without one. Longer lets slow clients finish, and idle ones hold connections.',
  },
  'proxy.idle_timeout': {
    type: 'duration',
    default: '60s',
    minimum: '100ms',
    reload: false,
    help: 'How long a connection of a client is kept between two requests. Longer saves handshakes, and holds more connections.',
  },
  'proxy.upload_grace': {
    type: 'duration',
    default: '60s',
    minimum: '100ms',
    reload: false,
    help: 'How long a client may stand still in its upload, or be slower than `proxy.upload_rate_min`, before it is answered 408. It does not matter how long the whole takes. What the upstream holds back is not held against it.',
  },
  'proxy.upload_rate_min': {
    type: 'number',
    default: 500,
    unit: 'bytes per second',
    minimum: 0,
    whole: true,
    reload: false,
    help: 'Slower than this, on the average since it last had all of `proxy.upload_grace` left, a client is too slow. 0: any byte is enough, also one per grace; needed by clients that send little, now and then, in a body that stays open for long.',
  },
  'proxy.download_grace': {
    type: 'duration',
    default: '60s',
    minimum: '100ms',
    reload: false,
    help: 'How long a client may take nothing of what it is sent, or be slower than `proxy.download_rate_min`, before it is cut. A reply that waits for its upstream is not held against it. Buffers of the system are filled in advance, so a client is noticed the later the more they hold.',
  },
  'proxy.download_rate_min': {
    type: 'number',
    default: 500,
    unit: 'bytes per second',
    minimum: 0,
    whole: true,
    reload: false,
    help: 'As `proxy.upload_rate_min`, for what a client takes.',
  },
  'proxy.request_line_max': {
    type: 'number',
    default: 8_192,
    unit: 'bytes',
    minimum: 256,
    whole: true,
    reload: false,
    help: 'A longer request line is answered 414.',
  },
  'proxy.head_line_max': {
    type: 'number',
    default: 16_384,
    unit: 'bytes',
    minimum: 256,
    whole: true,
    reload: false,
    help: 'A header line that is longer is answered 431.',
  },
  'proxy.head_lines_max': {
    type: 'number',
    default: 256,
    minimum: 16,
    whole: true,
    reload: false,
    help: 'More header lines are answered 431. Each costs some work here and at the upstream.',
  },
  'proxy.head_max': {
    type: 'number',
    default: 32_768,
    unit: 'bytes',
    minimum: 1024,
    whole: true,
    reload: false,
    help: 'More bytes of header lines are answered 431. Each connection may hold that much, and the request line.',
  },
  'proxy.connections_max': {
    type: 'number',
    instead: 'as many as the limit of open files leaves room for, at most 16384',
    minimum: 1,
    whole: true,
    reload: false,
    help: 'Connections of clients at once, for each worker; what comes beyond is closed at once. Each takes some ten KB and a descriptor, and its request another one. The limit of open files (`ulimit -n`) is divided so that a quarter of it is left to the node itself, and half of the rest, shared by the workers, is for clients.',
  },
  'proxy.fast_lane': {
    type: 'boolean',
    default: true,
    reload: false,
    help: 'Whether plain requests are read and answered without the HTTP server of Node, at less than half of what that takes. What is in any way out of the ordinary is for that in either case, and nothing is taken or refused that would not be without it. Off, all are.',
  },
  'proxy.http2': {
    type: 'boolean',
    default: true,
    reload: false,
    help: 'Whether clients of `proxy_listen_ssl` may agree on HTTP/2 in their handshake (ALPN). Off, all are told of HTTP/1.1 only.',
  },
  'proxy.http2_streams_max': {
    type: 'number',
    default: 100,
    minimum: 1,
    maximum: 10_000,
    whole: true,
    reload: false,
    help: 'Requests at once on one connection over HTTP/2; clients are told, and what comes beyond is refused. More lets one client take more of a worker: each may hold some 64 KB of a body that nobody reads yet. All connections together have at most `proxy.connections_max` requests, for each worker; what comes beyond is refused so that clients may send it again.',
  },

  'proxy.held_body_max': {
    type: 'number',
    default: 8 * 1024 * 1024,
    unit: 'bytes',
    minimum: 0,
    whole: true,
    reload: true,
    help: 'The largest body that is held in memory for a plugin that has to see it whole; all others pass as they come. A request with a larger one is answered 413, a response with a larger one becomes a 502. More takes that much for each such request at once.',
  },

  admin_api_listen: {
    type: 'address',
    default: '127.0.0.1:8001',
    reload: false,
    help: 'Where the Admin API listens. An address that other machines can reach needs `admin_api_token` or `admin_api_insecure`.',
  },
  admin_api_ssl_listen: {
    type: 'address',
    instead: 'it does not take HTTPS',
    reload: false,
    help: 'Where the Admin API takes HTTPS (TLS 1.2 and 1.3), besides `admin_api_listen`. The same holds: an address that other machines can reach needs `admin_api_token` or `admin_api_insecure`.',
  },
  admin_api_ssl_cert_path: {
    type: 'file',
    instead: 'the one for localhost that `proxy_listen_ssl` shows without `ssl_cert_path`',
    reload: true,
    help: "Certificate chain (PEM) for `admin_api_ssl_listen`, the server's own first. Needs `admin_api_ssl_key_path`. A reload reads both files again.",
  },
  admin_api_ssl_key_path: {
    type: 'file',
    instead: 'the one of that certificate',
    reload: true,
    help: 'Private key (PEM, without a passphrase) of `admin_api_ssl_cert_path`.',
  },
  admin_api_token: {
    type: 'text',
    instead: 'no token is asked for',
    form: 'token',
    secret: true,
    reload: true,
    help: 'The bearer token that every Admin API request must carry.',
  },
  admin_api_tokens: {
    type: 'list',
    default: [],
    items: 'token',
    secret: true,
    reload: true,
    help: 'More bearer tokens, each accepted like `admin_api_token`: one per caller, or old and new while they are changed. `name:token` gives the caller a name, under which the events record what they changed.',
  },
  admin_api_insecure: {
    type: 'boolean',
    default: false,
    reload: true,
    help: 'Lets the Admin API listen beyond this machine without a token. Whoever reaches the port then owns the gateway.',
  },
  admin_api_origins: {
    type: 'list',
    default: [],
    items: 'origin',
    reload: true,
    help: 'Web origins (`https://admin.example.com`) whose pages may call the Admin API from a browser.',
  },

  database: {
    type: 'text',
    instead: 'the embedded server, unless a `postgres` connection setting is given',
    choices: ['postgres'],
    reload: false,
    help: 'The kind of datastore. `postgres` uses the server that `postgres.*` names, by default one on this machine.',
  },
  'postgres.host': {
    type: 'text',
    instead: '127.0.0.1, or the embedded server',
    reload: false,
    help: 'Host name, address, or directory of the unix socket of the Postgres server. A direct connection: LISTEN does not pass through a pooler in transaction mode.',
  },
  'postgres.port': {
    type: 'number',
    instead: '5432',
    minimum: 1,
    maximum: 65535,
    whole: true,
    reload: false,
    help: 'Port of the Postgres server.',
  },
  'postgres.user': {
    type: 'text',
    instead: 'troop',
    reload: false,
    help: 'User to connect as. It owns the schema: migrations create tables and triggers.',
  },
  'postgres.password': {
    type: 'text',
    instead: 'none is sent',
    secret: true,
    reload: false,
    help: 'Password of `postgres.user`.',
  },
  'postgres.database': {
    type: 'text',
    instead: 'troop',
    reload: false,
    help: 'Database to use. It must exist.',
  },
  'postgres.ssl.enabled': {
    type: 'boolean',
    default: false,
    reload: false,
    help: 'Whether connections to Postgres are encrypted.',
  },
  'postgres.ssl.verify': {
    type: 'boolean',
    default: true,
    reload: false,
    help: "Whether the server's certificate and name are checked. Without it, whoever stands between can read and change everything.",
  },
  'postgres.ssl.certificate_authority': {
    type: 'file',
    instead: "Node's list of authorities",
    reload: false,
    help: "Certificates (PEM) of the authorities that may have signed the server's certificate.",
  },
  'postgres.pool_size': {
    type: 'number',
    default: 10,
    minimum: 2,
    maximum: 1000,
    whole: true,
    reload: false,
    help: "Connections of a node to Postgres, besides the one that listens. More serve more admin writes and cache misses at once; nodes × pool size must stay below the server's `max_connections`.",
  },
  'postgres.connect_timeout': {
    type: 'duration',
    default: '3s',
    minimum: '10ms',
    reload: false,
    help: 'How long connecting, or waiting for a free connection, may take before the datastore counts as away.',
  },
  'postgres.query_timeout': {
    type: 'duration',
    default: '5s',
    minimum: '10ms',
    reload: false,
    help: 'How long a statement may take before the datastore counts as away. Longer lets big reads finish on a slow server, and lets a silent server go unnoticed for as long. Migrations are exempt.',
  },
  'postgres.read_url': {
    type: 'text',
    instead: 'all reads go to the primary',
    form: 'postgres-url',
    secret: true,
    reload: false,
    help: '`postgres://…` of a read replica that fills caches. Its answers carry their position, so one that lags is noticed and the primary asked instead.',
  },
  'postgres.embedded_dir': {
    type: 'path',
    instead: '`~/.troop/postgres`; for root, whose home the server may not enter, `/var/lib/troop/postgres`',
    reload: false,
    help: 'Data of the embedded server, which runs when neither `database` nor a `postgres` connection setting is given. Nodes that name the same directory share one server.',
  },
  'log.keep_days': {
    type: 'number',
    default: 90,
    unit: 'days',
    minimum: 1,
    reload: true,
    help: 'Events older than this are pruned from the log, once every node has applied them. More history for people costs room in the datastore.',
  },
  'log.keep_events': {
    type: 'number',
    default: 1_000_000,
    minimum: 1000,
    whole: true,
    reload: true,
    help: 'Events beyond this many are pruned from the log, once every node has applied them.',
  },

  cluster_listen: {
    type: 'ip-address',
    default: '0.0.0.0:7946',
    reload: false,
    help: 'Where other nodes connect.',
  },
  cluster_listen_rpc: {
    type: 'ip-address',
    default: '127.0.0.1:7373',
    reload: false,
    help: 'Where the command line reaches this node; must be a loopback address. With port 0 the system chooses one and the working directory tells the command line.',
  },
  'cluster.auto-join': {
    type: 'boolean',
    default: true,
    reload: false,
    help: 'Whether the node joins the others that are registered in the datastore.',
  },
  'cluster.advertise': {
    type: 'ip-address',
    instead: 'the host of `cluster_listen`, else the first IPv4 address of this machine',
    reload: false,
    help: 'The address under which other nodes reach this one.',
  },
  'cluster.encrypt': {
    type: 'list',
    default: [],
    single: true,
    items: 'key',
    secret: true,
    reload: false,
    help: 'Key of the traffic between nodes, 16 or 32 bytes in base64, or a list: the first is used, all are accepted. Without one, nodes use a secret that is kept in the datastore.',
  },
  'cluster.profile': {
    type: 'text',
    default: 'lan',
    choices: ['wan', 'lan', 'local'],
    reload: false,
    help: 'Timing of failure detection: `wan` tolerates slow links and notices failures later, `local` the reverse. A killed process is noticed within a few round trips in all of them, one that hangs after about 4.3 × `probe_interval` + 2 × `probe_timeout` + `suspicion_timeout`. The settings below go over it, one by one; all nodes should have the same.',
  },
  'cluster.probe_interval': {
    type: 'duration',
    instead: '200ms local, 250ms lan, 1s wan',
    minimum: '50ms',
    reload: false,
    help: 'One other member is probed in each. Shorter notices a hang sooner; idle traffic is 4 small messages per node and interval.',
  },
  'cluster.probe_timeout': {
    type: 'duration',
    instead: '100ms local, 150ms lan, 800ms wan',
    minimum: '20ms',
    reload: false,
    help: 'A probe is answered within this, and those of `cluster.indirect_probes` others within as much again. Longer than the slowest round trip between healthy nodes; shorter suspects more often in vain.',
  },
  'cluster.indirect_probes': {
    type: 'number',
    instead: '3',
    minimum: 0,
    maximum: 16,
    whole: true,
    reload: false,
    help: 'Members asked to probe one that did not answer. More get round more broken links, for two messages each.',
  },
  'cluster.suspicion_timeout': {
    type: 'duration',
    instead: '700ms local, 1200ms lan, 6s wan',
    minimum: '100ms',
    reload: false,
    help: 'How long a suspected member has to contradict once others suspect it too: × max(1, ln members ÷ ln 128), and up to 3 times (wan: 4) as long while they do not. A pause shorter than 2 × `probe_timeout` + this is never called a failure.',
  },
  'cluster.lag_tolerated': {
    type: 'duration',
    instead: '100ms local, 100ms lan, 300ms wan',
    minimum: '10ms',
    reload: false,
    help: "A delay of a node's own event loop from which it blames itself, stretches its timeouts and accuses nobody. Above what timers are late on a busy machine.",
  },
  'cluster.sync_interval': {
    type: 'duration',
    instead: '1s local, 2s lan, 10s wan',
    minimum: '100ms',
    reload: false,
    help: 'Two members that know different things tell each other all, each at most this often.',
  },
  'cluster.redial_interval': {
    type: 'duration',
    instead: '3s local, 10s lan, 30s wan',
    minimum: '100ms',
    reload: false,
    help: 'The longest wait between two dials of a member that is not connected: how late one that is back may be noticed, if it does not dial by itself.',
  },
  'cluster.ttl_on_failure': {
    type: 'number',
    default: 3600,
    unit: 'seconds',
    minimum: 60,
    reload: false,
    help: 'How long the row of a node that was not heard of stays registered.',
  },
  'cluster.ack_timeout': {
    type: 'duration',
    default: '1s',
    minimum: '1ms',
    reload: true,
    help: 'How long a write waits for all registered nodes. Longer makes more answers complete and slow nodes felt by writers.',
  },
  'cluster.heartbeat_interval': {
    type: 'duration',
    default: '1s',
    minimum: '50ms',
    reload: false,
    help: 'How often the head of the log is read from the datastore, in case nothing else told of a change. One small query per node and interval.',
  },
  'cluster.max_staleness': {
    type: 'duration',
    instead: 'no bound',
    minimum: '100ms',
    reload: false,
    help: 'For how long a node counts as fresh after it last was certain to miss nothing, by a read of the datastore or by the word of a node that had one. Must be longer than `cluster.heartbeat_interval`; the shorter, the sooner a node that is cut off is found out, and the sooner an outage of the datastore is felt.',
  },
  'cluster.on_stale': {
    type: 'text',
    default: 'serve',
    choices: ['serve', 'refuse'],
    reload: false,
    help: 'What a node does with traffic once it is older than `cluster.max_staleness`: go on and log it, or answer 503. With `refuse` on all nodes, a write that is complete is served everywhere, by nodes that nobody reaches too.',
  },
  'cluster.purge_on_join': {
    type: 'text',
    default: 'all',
    choices: ['all', 'self'],
    reload: false,
    help: 'Whose caches are purged when a node joins: those of all nodes, or its own only.',
  },

  send_anonymous_reports: {
    type: 'ignored',
    reload: false,
    help: 'From Kong 0.8.',
    inert: 'Troop reports nothing to anybody',
  },
  dns_resolver: {
    type: 'ignored',
    reload: false,
    help: 'From Kong 0.8.',
    inert: "names are resolved by the system's hosts file and name servers",
  },
  dns_resolvers_available: {
    type: 'ignored',
    reload: false,
    help: 'From Kong 0.8.',
    inert: "names are resolved by the system's hosts file and name servers",
  },
  cassandra: {
    type: 'ignored',
    reload: false,
    help: 'From Kong 0.8.',
    inert: 'the datastore is Postgres',
  },
  nginx: {
    type: 'ignored',
    reload: false,
    help: 'From Kong 0.8.',
    inert: 'no nginx runs inside',
  },
} as const satisfies Record<string, Setting>

export type SettingName = keyof typeof settings

/** What the parser makes of each type. */
interface Parsed {
  text: string
  number: number
  boolean: boolean
  duration: number
  address: Address
  'ip-address': Address
  path: string
  file: string
  list: readonly string[]
  ignored: undefined
}

/** Every setting under its name: what was given, else its default, else undefined. Durations are in milliseconds. */
export type Values = {
  readonly [Name in SettingName]: (typeof settings)[Name] extends { default: unknown }
    ? Parsed[(typeof settings)[Name]['type']]
    : Parsed[(typeof settings)[Name]['type']] | undefined
}

/** The table as a list, in its order. */
export const settingsList: readonly (readonly [SettingName, Setting])[] = Object.entries(settings) as [
  SettingName,
  Setting,
][]

/** The environment variable of a setting: `postgres.host` is `TROOP_POSTGRES_HOST`. */
export function environmentName(name: string): string {
  return `TROOP_${name.replaceAll(/[.-]/g, '_').toUpperCase()}`
}
