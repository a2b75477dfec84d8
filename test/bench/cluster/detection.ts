// How soon the others know that a node is gone, and how soon that it is back. Nodes log the very step in which their
// view changes: hearing that keeps nobody busy, as asking them again and again would.
import { systemClock, within } from '../../../src/base/clock.ts'
import type { NodeProcess } from '../../support/node-process.ts'
import type { Fleet } from './fleet.ts'

export type Fault = 'SIGKILL' | 'SIGSTOP'

export interface Detection {
  /** From the signal until each of the others called the node failed, by round. */
  readonly failedMs: readonly (readonly number[])[]
  /** From SIGCONT, or from the registration of a node that was started again, until each of the others knew it. */
  readonly backMs: readonly (readonly number[])[]
  /** Times that a member was called failed that was not, or once more than it was. */
  readonly falseAlarms: number
}

/** Far beyond what is measured: what takes longer is a fault of its own. */
const limitMs = 60_000

export interface DetectionOptions {
  readonly rounds: number
  /** Before each fault: nodes that were late themselves, by a start or a pause, trust themselves again by then. */
  readonly calmMs: number
}

/** Takes one node after the other, and puts each back before the next. */
export async function timeDetection(
  fleet: Fleet,
  fault: Fault,
  { rounds, calmMs }: DetectionOptions,
): Promise<Detection> {
  const failedMs: number[][] = []
  const backMs: number[][] = []
  let falseAlarms = 0
  for (let round = 0; round < rounds; round++) {
    const victim = fleet.nodes[round % fleet.nodes.length] as NodeProcess
    const others = fleet.nodes.filter((node) => node !== victim)

    await systemClock.sleep(calmMs)
    const noticed = hear(others, lifeOf(victim), 'failed')
    const struckMs = systemClock.monotonic()
    victim.signal(fault)
    failedMs.push((await noticed).map((at) => at - struckMs))
    await fleet.list(others, 'failed', 1)

    const { sinceMs, launched, known } = await revive(fleet, victim, others, fault)
    const [times] = await Promise.all([known, launched])
    backMs.push(times.map((at) => at - sinceMs))
    await fleet.list(fleet.nodes, 'alive', fleet.nodes.length)
    falseAlarms += fleet.takeAlarms() - others.length
  }
  return { failedMs, backMs, falseAlarms }
}

interface Revival {
  readonly sinceMs: number
  /** Resolves once it serves again. */
  readonly launched: Promise<void>
  /** When each of the others knew. */
  readonly known: Promise<readonly number[]>
}

async function revive(
  fleet: Fleet,
  victim: NodeProcess,
  others: readonly NodeProcess[],
  fault: Fault,
): Promise<Revival> {
  if (fault === 'SIGSTOP') {
    const known = hear(others, lifeOf(victim), 'back')
    const sinceMs = systemClock.monotonic()
    victim.signal('SIGCONT')
    return { sinceMs, launched: Promise.resolve(), known }
  }
  await victim.ended()
  const launched = fleet.relaunch(victim)
  await Promise.race([launched, victim.logged(registration)])
  const sinceMs = systemClock.monotonic()
  // Nobody has heard of this life before: what was logged until now may be looked through too.
  return { sinceMs, launched, known: hear(others, lifeOf(victim), 'joined', 0) }
}

const registration = /"life":(\d+),"msg":"registered"/

function lifeOf(node: NodeProcess): string {
  const life = registration.exec(node.output)?.[1]
  if (life === undefined) throw new Error('the node did not say that it is registered')
  return life
}

/** When each of `nodes` said so of the member with that life, in what it printed from now, or from its beginning, on. */
async function hear(
  nodes: readonly NodeProcess[],
  life: string,
  what: 'failed' | 'back' | 'joined',
  from?: number,
): Promise<readonly number[]> {
  const line = new RegExp(`"life":${life},"msg":"member ${what}"`)
  const heard = nodes.map(async (node) => {
    await node.logged(line, from ?? node.output.length)
    return systemClock.monotonic()
  })
  const silence = () => new Error(`not all nodes say that the member with life ${life} is ${what}`)
  return within(systemClock, limitMs, Promise.all(heard), silence)
}
