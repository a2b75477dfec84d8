// The tables that code names itself, for kysely's types. Entity tables are data (entities/) and are named at
// run time, so they are not listed here.

export interface Tables {
  /** The log; written by triggers alone (migrations/0001_log.ts). */
  events: EventsTable
}

export interface EventsTable {
  position: number
  /** Position of the first event of the same transaction. */
  first: number
  digest: Buffer
  at: Date
  body: string
}
