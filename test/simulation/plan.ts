// What a seed means: a world, and what is to happen in it and when. Plain data, so that a part of it can be left out.
import type { Random } from '../../src/base/random.ts'
import { ambushes } from './ambushes.ts'
import { between, chanceFor, pick, whole } from './chance.ts'
import { type FaultKind, type FaultSpec, faultKinds, faultSpecs } from './faults.ts'
import type { NodeSettings } from './node.ts'
import { type OperationKind, operationWeights } from './workload.ts'

/** Something that goes wrong for a while. What is drawn decides whom it hits, by whoever is there at the time. */
export interface Fault {
  readonly id: number
  readonly atMs: number
  readonly forMs: number
  readonly kind: FaultKind
  /** Each in [0, 1). */
  readonly draws: readonly [number, number, number]
}

/** A write, through whichever node. */
export interface Operation {
  readonly id: number
  readonly atMs: number
  readonly kind: OperationKind
  readonly waits: boolean
  readonly draws: readonly [number, number, number]
}

export interface Plan {
  readonly seed: number
  readonly nodes: number
  readonly settings: NodeSettings
  /** Whether clocks of nodes drift and are set. */
  readonly clockRates: readonly number[]
  readonly replicaLagMs: number
  readonly warmUpMs: number
  /** For how long faults begin and writes are made. */
  readonly unrestMs: number
  readonly faults: readonly Fault[]
  readonly operations: readonly Operation[]
}

export interface PlanOptions {
  readonly seed: number
  readonly nodes?: number | undefined
  /** Those that may happen; undefined: what the seed says. */
  readonly faults?: readonly FaultKind[] | undefined
  readonly unrestMs?: number | undefined
}

/** Nodes start, meet and load; then it begins. */
const warmUpMs = 1000

export function planOf(options: PlanOptions): Plan {
  const { seed } = options
  const random = chanceFor(seed, 'plan')
  const nodes = options.nodes ?? pick(random, [2, 3, 3, 3, 4, 5])
  const specs: Readonly<Record<FaultKind, FaultSpec>> = faultSpecs
  const isKept = !options.faults?.some((kind) => specs[kind].breaksRefusal)
  const isRefusing = random.fraction() < 0.25 && isKept
  const unrestMs = options.unrestMs ?? unrestOf(random)
  const allowed = options.faults ?? someFaults(random, isRefusing)
  const settings = settingsOf(random, isRefusing)
  const replicaLagMs = random.fraction() < 0.3 ? between(random, 50, 800) : 0
  const clockRates = Array.from({ length: nodes }, () => 1 + (random.fraction() - 0.5) * 1e-4)
  const operations = operationsOf(chanceFor(seed, 'operations'), unrestMs, settings.ackTimeoutMs)
  const faults = faultsOf(chanceFor(seed, 'faults'), allowed, unrestMs, operations)
  return {
    ...{ seed, nodes, settings, clockRates, replicaLagMs, warmUpMs, unrestMs, faults, operations },
  }
}

/** Mostly short, so that there are many; some stories take long. In ms. */
function unrestOf(random: Random): number {
  return 1200 + 6800 * random.fraction() ** 3
}

function settingsOf(random: Random, isRefusing: boolean): NodeSettings {
  return {
    workers: pick(random, [1, 2]),
    heartbeatIntervalMs: pick(random, [1000, 1000, 500, 4000]),
    ackTimeoutMs: pick(random, [1000, 1000, 300, 2000]),
    timing: { probeIntervalMs: pick(random, [250, 500, 1000, 1000]) },
    purgeOnJoin: pick(random, ['all', 'all', 'self'] as const),
    maxStalenessMs: isRefusing ? pick(random, [2000, 3000, 5000]) : pick(random, [undefined, 3000]),
    onStale: isRefusing ? 'refuse' : 'serve',
    ttlSeconds: 60,
    cacheBytes: pick(random, [1_000_000, 1_000_000, 8_000, 4_000]),
    minPositionWaitMs: pick(random, [1000, 200]),
    keepEvents: pick(random, [1_000_000, 30]),
  }
}

/** Some kinds of faults and not others, so that what they do together is seen, and what each does alone as well. */
function someFaults(random: Random, isRefusing: boolean): FaultKind[] {
  const part = pick(random, [0, 0.15, 0.3, 0.6])
  const specs: Readonly<Record<FaultKind, FaultSpec>> = faultSpecs
  // Nobody promises anything of a primary that comes back as an older one.
  const possible = faultKinds.filter((kind) => {
    const { losesWrites, breaksRefusal } = specs[kind]
    return !isRefusing || !(losesWrites || breaksRefusal)
  })
  const chosen = possible.filter(() => random.fraction() < part)
  const ambush = pick(random, possible.filter(isAmbush))
  const isOneMore = part > 0 && random.fraction() < 0.5 && !chosen.includes(ambush)
  return isOneMore ? [...chosen, ambush] : chosen
}

function isAmbush(kind: FaultKind): boolean {
  return Object.hasOwn(ambushes, kind)
}

/** From being asked for a write to its commit's answer, about, in ms. */
const writeMs = 15

function faultsOf(
  random: Random,
  kinds: readonly FaultKind[],
  unrestMs: number,
  operations: readonly Operation[],
): Fault[] {
  if (kinds.length === 0) return []
  const count = 1 + whole(random, Math.ceil(unrestMs / 450))
  let beforeMs = warmUpMs
  const faults = Array.from({ length: count }, (_, id) => {
    const kind = pick(random, kinds)
    const [leastMs, mostMs] = faultSpecs[kind].forMs
    // Most are short, since it is their beginning and their end that is of interest.
    const forMs = leastMs + (mostMs - leastMs) * random.fraction() ** 2
    // Troubles seldom come alone: what one has left undone, the next one meets.
    const isNext = random.fraction() < 0.35
    const anyMs = isNext ? beforeMs + 400 * random.fraction() : warmUpMs + random.fraction() * unrestMs
    // And what breaks in the middle of a write leaves more undone than what breaks in between.
    const isAmid = random.fraction() < 0.3
    const meantMs = isAmid ? amid(operations, anyMs) + writeMs * random.fraction() : anyMs
    const atMs = Math.min(meantMs, warmUpMs + unrestMs)
    beforeMs = atMs + forMs
    return { id, atMs, forMs, kind, draws: draws(random) }
  })
  return faults.sort((a, b) => a.atMs - b.atMs)
}

/** When the first write from a time on is asked for; that time when there is none. */
function amid(operations: readonly Operation[], fromMs: number): number {
  return operations.find(({ atMs }) => atMs >= fromMs)?.atMs ?? fromMs
}

function operationsOf(random: Random, unrestMs: number, ackTimeoutMs: number): Operation[] {
  const operations: Operation[] = []
  const kinds = Object.entries(operationWeights).flatMap(([kind, weight]) =>
    Array.from({ length: weight }, () => kind as OperationKind),
  )
  const gapMs = pick(random, [80, 150, 400])
  for (let atMs = warmUpMs; atMs < warmUpMs + unrestMs; ) {
    // In bursts, with pauses in which everything can settle.
    atMs += random.fraction() < 0.1 ? between(random, 0, 2 * ackTimeoutMs) : random.fraction() * 2 * gapMs
    // Not after that: then all is to come to rest.
    atMs = Math.min(atMs, warmUpMs + unrestMs)
    const waits = random.fraction() < 0.8
    operations.push({ id: operations.length, atMs, kind: pick(random, kinds), waits, draws: draws(random) })
  }
  return operations
}

function draws(random: Random): [number, number, number] {
  return [random.fraction(), random.fraction(), random.fraction()]
}

/** How many nodes a plan could have at once; hosts are numbered from 1. */
export function hostOf(index: number): string {
  return `10.0.0.${index + 1}`
}
