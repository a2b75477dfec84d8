// What a node costs while nothing happens. Processor and memory are as Linux counts them; elsewhere they are unknown.
import { systemClock } from '../../../src/base/clock.ts'
import { type Usage, usageOf } from '../../support/usage.ts'
import type { Fleet } from './fleet.ts'

/** Of one node, on average over all. */
export interface IdleCost {
  /** Processor time in milliseconds per second, and memory; undefined where they can't be read. */
  readonly cpuMsPerS: number | undefined
  readonly residentBytes: number | undefined
  /** What a node sends to others, as TCP carries it: TLS records, without the headers of TCP and IP. */
  readonly sentBytesPerS: number
  /** What a node asks of the datastore, transactions of one statement included. */
  readonly transactionsPerS: number
}

/** Sums over all nodes. */
interface Reading {
  readonly atMs: number
  readonly usage: Usage | undefined
  readonly relayedBytes: number
  readonly transactions: number
}

/** @param fleet  with relays: what they pass is what nodes say to each other */
export async function measureIdle(fleet: Fleet, windowMs: number): Promise<IdleCost> {
  const before = await read(fleet)
  await systemClock.sleep(windowMs)
  const after = await read(fleet)
  const nodeSeconds = ((after.atMs - before.atMs) / 1000) * fleet.nodes.length
  return {
    cpuMsPerS: after.usage && before.usage && (after.usage.cpuMs - before.usage.cpuMs) / nodeSeconds,
    residentBytes: after.usage && after.usage.residentBytes / fleet.nodes.length,
    sentBytesPerS: (after.relayedBytes - before.relayedBytes) / nodeSeconds,
    transactionsPerS: (after.transactions - before.transactions) / nodeSeconds,
  }
}

async function read(fleet: Fleet): Promise<Reading> {
  const [counted] = await fleet.database.query<{ transactions: string }>(
    'select xact_commit + xact_rollback as transactions from pg_stat_database where datname = current_database()',
  )
  return {
    atMs: systemClock.monotonic(),
    usage: await usageOfAll(fleet.nodes.map(({ pid }) => pid)),
    relayedBytes: fleet.relays.reduce((total, { bytes }) => total + bytes, 0),
    transactions: Number(counted?.transactions),
  }
}

/** Of all these processes; undefined where there is no /proc. */
async function usageOfAll(pids: readonly number[]): Promise<Usage | undefined> {
  if (process.platform !== 'linux') return undefined
  const usages = await Promise.all(pids.map(usageOf))
  return {
    cpuMs: usages.reduce((total, { cpuMs }) => total + cpuMs, 0),
    residentBytes: usages.reduce((total, { residentBytes }) => total + residentBytes, 0),
  }
}
