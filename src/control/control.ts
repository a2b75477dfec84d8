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
  workers: z.object({ running: z.int(), wanted: z.int() }),
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
})
export type Reloaded = z.infer<typeof reloaded>

/** A member of the cluster, as the node knows it. */
export const knownMember = z.object({
  name: z.string(),
  address: z.string(),
  status: z.string(),
  /** Position of its registration. */
  life: z.int(),
})
export type KnownMember = z.infer<typeof knownMember>

export const forcedLeave = z.object({ name: z.string().min(1), prune: z.boolean() })

/** What node carries out. `stop` and `quit` answer at once; the process ending is the rest of the answer. */
export interface ControlMethods {
  status(): NodeStatus | Promise<NodeStatus>
  /** @throws an error with code, message and hint when the configuration is refused; nothing changed then */
  reload(): Promise<Reloaded>
  stop(): void
  quit(): void
  members(): readonly KnownMember[]
  /** False when no node has the name. */
  forceLeave(order: z.infer<typeof forcedLeave>): Promise<boolean>
}

/** Said first on every connection. */
export const hello = z.object({ token: z.string(), protocol: z.literal(1) })

export interface ControlClient {
  /** Within 5 s. */
  status(): Promise<NodeStatus>
  /** Within 60 s: new plugins are loaded and checked in every worker. */
  reload(): Promise<Reloaded>
  stop(): Promise<void>
  quit(): Promise<void>
  members(): Promise<readonly KnownMember[]>
  /** Makes a node leave for good; false when none has the name. With `prune` it is not listed any more either. */
  forceLeave(name: string, prune: boolean): Promise<boolean>
  close(): Promise<void>
}

/** A node on this machine that does not take a connection in this time is stuck or gone. */
const connectTimeoutMs = 5000
const answerTimeoutMs = 5000
const reloadTimeoutMs = 60_000

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
    members: async () => z.array(knownMember).parse(await call('members')),
    forceLeave: async (name, prune) =>
      z.boolean().parse(await call('forceLeave', answerTimeoutMs, { name, prune })),
    close: () => connection.stop(),
  }
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
