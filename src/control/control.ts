// How the command line speaks to a running node: what it may ask, and the client that asks it.
import { connect, type Socket } from 'node:net'
import { z } from 'zod'
import { parseAddress } from '../base/address.ts'
import { type Clock, within } from '../base/clock.ts'
import { RpcConnection } from '../rpc/rpc.ts'
import { ControlAway } from './errors.ts'
import { readControlAccess } from './token.ts'

/** What a node says about itself. Wire format: members are only ever added. */
export const nodeStatus = z.object({
  pid: z.int(),
  version: z.string(),
  /** The node's name. */
  name: z.string(),
  uptimeMs: z.number(),
  /** Has loaded, serves, and is not leaving. */
  ready: z.boolean(),
  /** What it has applied of the log; null before its first load. */
  position: z.int().nullable(),
  /** `hanging` are threads that nothing can end; they keep their connections. */
  workers: z.object({ running: z.int(), wanted: z.int(), hanging: z.int().exactOptional() }),
  /** The addresses it listens on, as bound, by the names of their settings. */
  listeners: z.record(z.string(), z.string()),
  /** Where its data is, without secrets. */
  datastore: z.string(),
  /** Whether it does; what is in memory is served either way. */
  datastoreAnswers: z.boolean(),
})
export type NodeStatus = z.infer<typeof nodeStatus>

/** What a reload did: names of settings that changed. */
export const reloaded = z.object({
  applied: z.array(z.string()),
  /** These changed too, and wait for a restart. */
  restart: z.array(z.string()),
  /** Custom plugins whose code changed, as they are named in the configuration. */
  plugins: z.array(z.string()).exactOptional(),
})
export type Reloaded = z.infer<typeof reloaded>

/** How far one member of the cluster is. Wire format: members are only ever added. */
export const memberPosition = z.object({
  name: z.string(),
  address: z.string(),
  status: z.string(),
  applied: z.int().nullable(),
  lag: z.int().nullable(),
  /** Milliseconds since it last was certain to miss nothing; null when nobody knows. */
  freshnessMs: z.number().nullable(),
  /** Milliseconds since its last heartbeat; null when nobody knows. */
  silentMs: z.number().nullable(),
  /** Milliseconds that the newest change took, by the path on which it came: `push`, `notify` and so on. */
  propagationMs: z.record(z.string(), z.number()),
})
export type MemberPosition = z.infer<typeof memberPosition>

export const clusterPositions = z.object({
  /** The newest event of the log. */
  head: z.int(),
  digest: z.string(),
  members: z.array(memberPosition).readonly(),
})
export type ClusterPositions = z.infer<typeof clusterPositions>

/** Whom one node reaches. Wire format: members are only ever added. */
export const reach = z.object({
  name: z.string(),
  address: z.string(),
  /** One for each other node: null means that it does not answer, and `error` says why not. */
  links: z
    .array(
      z.object({ to: z.string(), roundTripMs: z.number().nullable(), error: z.string().exactOptional() }),
    )
    .readonly(),
})
export type Reach = z.infer<typeof reach>

/** What one node found when it held what it serves against the datastore. Wire format: members are only ever added. */
export const audit = z.object({
  /** What it had applied, with the digest of the log there. */
  position: z.int(),
  digest: z.string(),
  checked: z.object({ entries: z.int(), workerEntries: z.int(), rows: z.int() }),
  wrong: z.array(z.object({ where: z.string(), family: z.string(), count: z.int() })).readonly(),
  /** Keys that were changed each time they were looked at. */
  unsettled: z.int().exactOptional(),
  /** How many of those that were wrong are right again. */
  repaired: z.int(),
  /** What the datastore holds of what was checked, by family, as hex. */
  digests: z.record(z.string(), z.string()),
})
export type Audit = z.infer<typeof audit>

/** By the node's name: what it found, or why it did not say. */
export type Audits = Readonly<Record<string, { readonly value: Audit } | { readonly error: string }>>

export const verifyOrder = z.object({ limitMs: z.number().nonnegative() })

export const forcedLeave = z.object({ name: z.string().min(1), prune: z.boolean() })

/** What node carries out. `stop` and `quit` answer at once; the process ending is the rest of the answer. */
export interface ControlMethods {
  status(): NodeStatus | Promise<NodeStatus>
  /** @throws an error with code, message and hint when the configuration is refused; nothing changed then */
  reload(): Promise<Reloaded>
  stop(): void
  quit(): void
  positions(): Promise<ClusterPositions>
  reachability(): Promise<readonly Reach[]>
  /** By name what each node answers, JSON, or why it does not. */
  verify(limitMs: number): Promise<ReadonlyMap<string, NodeAnswer>>
  /** False when no node has the name. */
  forceLeave(order: z.infer<typeof forcedLeave>): Promise<boolean>
}

/** As it came from another node: whoever asked checks it. */
export type NodeAnswer = { readonly value: unknown } | { readonly error: string }

/** Said first on every connection. */
export const hello = z.object({ token: z.string(), protocol: z.literal(1) })

export interface ControlClient {
  /** Within 5 s. */
  status(): Promise<NodeStatus>
  /** Within 60 s: new plugins are loaded and checked in every worker. */
  reload(): Promise<Reloaded>
  stop(): Promise<void>
  quit(): Promise<void>
  /** How far every node is. Within 15 s, as are the other questions that go to all nodes. */
  positions(): Promise<ClusterPositions>
  /** Which node reaches which, each pair in both directions. */
  reachability(): Promise<readonly Reach[]>
  /** Makes every node hold what it serves against the datastore, each within `limitMs`. */
  verify(limitMs: number): Promise<Audits>
  /** Makes a node leave for good; false when none has the name. With `prune` it is not listed any more either. */
  forceLeave(name: string, prune: boolean): Promise<boolean>
  close(): Promise<void>
}

/** A node on this machine that does not take a connection in this time is stuck or gone. */
const connectTimeoutMs = 5000
const answerTimeoutMs = 5000
const reloadTimeoutMs = 60_000
/** All nodes are asked at once; what takes longest is a datastore that is silent: by default 8 s until it counts as away. */
const surveyTimeoutMs = 15_000

/** Longest answer: the pairs of some 270 nodes. */
export const answerBytesMax = 8 << 20

/**
 * Connects to a node and shows it the token.
 * @param file  where the node has written address and token
 * @throws {ControlAway} when nothing answers
 * @throws {ControlRefused} when this user may not read the token; a RemoteError of the same code when it is wrong
 */
export async function connectControl(file: string, clock: Clock): Promise<ControlClient> {
  const access = await readControlAccess(file)
  if (!access) throw new ControlAway(file, new Error('the node has not opened its control yet'))
  const { address, token } = access
  const connection = new RpcConnection(await dial(address, clock), {
    clock,
    frameBytesMax: answerBytesMax,
    handle: () => {
      throw new Error('a node has nothing to ask of its command line')
    },
  })
  const call = (method: string, timeoutMs = answerTimeoutMs, params?: unknown) =>
    connection.call(method, params, timeoutMs)
  try {
    await connection.call('hello', { token, protocol: 1 }, answerTimeoutMs)
  } catch (error) {
    await connection.stop()
    throw error
  }
  return {
    status: async () => nodeStatus.parse(await call('status')),
    reload: async () => reloaded.parse(await call('reload', reloadTimeoutMs)),
    stop: async () => void (await call('stop')),
    quit: async () => void (await call('quit')),
    positions: async () => clusterPositions.parse(await call('positions', surveyTimeoutMs)),
    reachability: async () => z.array(reach).parse(await call('reachability', surveyTimeoutMs)),
    verify: async (limitMs) => auditsOf(await call('verify', limitMs + surveyTimeoutMs, { limitMs })),
    forceLeave: async (name, prune) =>
      z.boolean().parse(await call('forceLeave', answerTimeoutMs, { name, prune })),
    close: () => connection.stop(),
  }
}

const nodeAnswers = z.record(
  z.string(),
  z.union([z.object({ error: z.string() }), z.object({ value: z.unknown() })]),
)

/** A node whose report can't be read has not reported; those of the others are shown all the same. */
function auditsOf(answers: unknown): Audits {
  const named = Object.entries(nodeAnswers.parse(answers)).map(([name, answer]) => {
    if ('error' in answer) return [name, answer]
    const { data } = audit.safeParse(answer.value)
    return [name, data ? { value: data } : { error: 'it answers what this version does not understand' }]
  })
  return Object.fromEntries(named)
}

async function dial(text: string, clock: Clock): Promise<Socket> {
  const address = parseAddress(text)
  if (!address) throw new ControlAway(text, new Error('this is not an address'))
  const socket = connect(address)
  const connected = new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('error', reject)
  })
  try {
    await within(
      clock,
      connectTimeoutMs,
      connected,
      () => new Error(`no answer within ${connectTimeoutMs} ms`),
    )
  } catch (cause) {
    socket.destroy()
    throw new ControlAway(text, cause)
  }
  return socket.setNoDelay(true)
}
