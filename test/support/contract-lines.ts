// The behaviours of Kong 0.8 that its own specs assert, by the numbers that test names cite: `[contract 7, 12-14]`.
// Only subjects are kept here; what a line says is what its test does.

export interface ContractLines {
  readonly from: number
  readonly to: number
  readonly subject: string
}

/** Every number belongs to exactly one. */
export const contractLines: readonly ContractLines[] = [
  { from: 1, to: 6, subject: 'Admin API: root, status, sizes of bodies' },
  { from: 7, to: 27, subject: 'Admin API: APIs' },
  { from: 28, to: 45, subject: 'Admin API: plugin configurations of an API' },
  { from: 46, to: 58, subject: 'Admin API: consumers' },
  { from: 59, to: 66, subject: 'Admin API: plugins' },
  { from: 67, to: 70, subject: 'Admin API: cache' },
  { from: 71, to: 73, subject: 'Admin API: cluster' },
  { from: 74, to: 80, subject: 'Cluster: registration, joining, failure, purge on join' },
  { from: 81, to: 90, subject: 'Which change takes effect on which cached entry' },
  { from: 91, to: 114, subject: 'Routing, and what the upstream is sent' },
  { from: 115, to: 115, subject: 'Which plugin configuration applies' },
  { from: 116, to: 116, subject: 'Address of the client' },
  { from: 117, to: 118, subject: 'Names of upstreams' },
  { from: 119, to: 129, subject: 'Command line' },
  { from: 130, to: 131, subject: 'Services that make a node' },
  { from: 132, to: 132, subject: 'Anonymous reports' },
  { from: 133, to: 133, subject: 'Violated constraints' },
  { from: 134, to: 136, subject: 'Migrations' },
  { from: 137, to: 146, subject: 'Datastore: insert, find, list, update, delete' },
  { from: 147, to: 150, subject: 'Datastore: constraints and cascades' },
  { from: 151, to: 152, subject: 'Datastore: plugin configurations by filter' },
  { from: 153, to: 153, subject: 'Datastore: rows with a lifetime' },
  { from: 154, to: 154, subject: 'HTTP client of the specs' },
  { from: 155, to: 167, subject: 'key-auth: requests' },
  { from: 168, to: 174, subject: 'key-auth: Admin API and entity' },
  { from: 175, to: 177, subject: 'key-auth: changes take effect' },
  { from: 178, to: 191, subject: 'basic-auth: requests' },
  { from: 192, to: 199, subject: 'basic-auth: Admin API and entity' },
  { from: 200, to: 200, subject: 'basic-auth: changes take effect' },
  { from: 201, to: 233, subject: 'hmac-auth: requests' },
  { from: 234, to: 239, subject: 'hmac-auth: Admin API, entity, changes' },
  { from: 240, to: 251, subject: 'jwt: requests' },
  { from: 252, to: 259, subject: 'jwt: Admin API, entity, changes, parser' },
  { from: 260, to: 325, subject: 'oauth2: flows and requests' },
  { from: 326, to: 340, subject: 'oauth2: Admin API, entities, changes' },
  { from: 341, to: 352, subject: 'acl: requests' },
  { from: 353, to: 357, subject: 'acl: Admin API, changes' },
  { from: 358, to: 367, subject: 'rate-limiting' },
  { from: 368, to: 377, subject: 'response-ratelimiting' },
  { from: 378, to: 379, subject: 'request-size-limiting' },
  { from: 380, to: 385, subject: 'cors' },
  { from: 386, to: 391, subject: 'ip-restriction' },
  { from: 392, to: 435, subject: 'request-transformer' },
  { from: 436, to: 443, subject: 'response-transformer' },
  { from: 444, to: 447, subject: 'correlation-id' },
  { from: 448, to: 454, subject: 'ssl' },
  { from: 455, to: 456, subject: 'tcp-log, udp-log, http-log, file-log' },
  { from: 457, to: 459, subject: 'syslog' },
  { from: 460, to: 460, subject: 'loggly' },
  { from: 461, to: 467, subject: 'statsd, datadog' },
  { from: 468, to: 481, subject: 'ldap-auth' },
  { from: 482, to: 484, subject: 'galileo' },
  { from: 485, to: 485, subject: 'Routing: hosts and paths, in units' },
  { from: 486, to: 487, subject: 'Validation of entities, in units' },
  { from: 488, to: 488, subject: 'Configuration' },
  { from: 489, to: 489, subject: 'Texts of errors' },
  { from: 490, to: 490, subject: 'Cache keys' },
]

/** Lines that are not covered on purpose, with the reason. */
export const deviations: Readonly<Record<number, string>> = {
  130: 'A node is one process: it has no services that could be started apart.',
  132: 'Troop reports nothing to anybody; the property is ignored with a notice.',
  154: 'It tests the client of the specs, not the gateway.',
  199: 'Passwords are hashed by argon2id: the digest is longer, and another one each time.',
  482: 'Galileo is retired: there are no batches, since nothing is sent.',
  483: 'Galileo is retired: there are no batches, since nothing is sent.',
  484: 'Galileo is retired: there is no queue. Its defaults and types are checked as in 0.8 (integration/retired.test.ts).',
}
