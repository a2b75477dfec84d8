// What the agent and a worker thread say to each other besides the catalog, the counts of the cluster and what plugins
// write, which have ports of their own.
import type { MessagePort } from 'node:worker_threads'
import type { Address } from '../base/address.ts'
import type { LogFields, LogLevel } from '../base/logger.ts'
import type { LinkEnd } from '../catalog/link.ts'
import type { KeyPair } from '../plugins/plugin.ts'
import type { PluginVersions } from '../plugins/plugins.ts'
import type { ClientLimits } from '../proxy/inbound/limits.ts'
import type { TrustOptions } from '../proxy/outbound/trust.ts'

/** Where clients connect. */
export interface ProxyAddresses {
  readonly plain: Address
  readonly tls: Address
}

/** How a worker handles requests; `reload` hands over a new one. */
export interface ProxySetup {
  /** What the listener for TLS shows. */
  readonly pair: KeyPair
  readonly connectTimeoutMs: number
  readonly sendTimeoutMs: number
  readonly readTimeoutMs: number
  /** Whom HTTPS upstreams must be vouched for by. */
  readonly upstreamTrust: TrustOptions
  /** Connections to each upstream in use that are open ahead of requests. */
  readonly upstreamSpares: number
  /** How long a request waits for a position that it asks for. */
  readonly minPositionWaitMs: number
  /** How much of a body is held for plugins. */
  readonly heldBytesMax: number
  /** Peers whose forwarding headers are believed, as addresses or CIDR ranges. */
  readonly trustedIps: readonly string[]
  /** Names or paths of plugins besides the shipped ones; relative paths start at `pluginDir`. */
  readonly customPlugins: readonly string[]
  readonly pluginDir: string
  /** Which code of theirs: a thread that goes back to this setup goes back to it. */
  readonly pluginVersions: PluginVersions
}

/** Where a worker counts; whoever shows the numbers reads them from another thread. */
export interface WorkerCounts {
  /** See proxy/counters.ts. */
  readonly proxy: SharedArrayBuffer
  /** See proxy/api-counters.ts. */
  readonly apis: SharedArrayBuffer
  /** Of its own cache (L1), see cache/cache.ts. */
  readonly cache: SharedArrayBuffer
  /** A histogram with the bounds of base/loop-delay.ts. */
  readonly loopDelay: SharedArrayBuffer
}

export interface WorkerSetup {
  readonly catalog: LinkEnd
  readonly counts: WorkerCounts
  /** Which APIs it counts by themselves, and where, see proxy/api-counters.ts. */
  readonly apiPlaces: SharedArrayBuffer
  /** Where it notes which plugin has which request, see proxy/whereabouts.ts. */
  readonly whereabouts: SharedArrayBuffer
  readonly counting: CountingSetup
  /** To the agent, which writes for plugins; see writing-link.ts. */
  readonly writing: MessagePort
  /** Bound on this worker's own cache (L1), in bytes of estimated size. */
  readonly cacheBytes: number
  /** Whether several workers listen on one port; false where the platform can't, and then there is one. */
  readonly reusePort: boolean
  /** 48 random bytes, by which the workers resume each other's TLS sessions. */
  readonly ticketKeys: Uint8Array
  /** The deadline (base/deadline.ts) after which nothing may be answered from what is known here; undefined: there is none. */
  readonly freshness: SharedArrayBuffer | undefined
  readonly proxy: ProxySetup
  /** What a client may take of time and room. */
  readonly limits: ClientLimits
  readonly handshakeTimeoutMs: number
  /** Whether plain requests are read without node:http. */
  readonly fastLane: boolean
  /** Whether clients of the listener for TLS are offered HTTP/2. */
  readonly http2: boolean
  readonly version: string
  readonly logLevel: LogLevel
}

/** What a worker counts requests of callers with; see counters/. */
export interface CountingSetup {
  /** Of this node: the memory that all its threads share, and this worker's number among them, from 1. */
  readonly buffer: SharedArrayBuffer
  readonly owner: number
  /** To the agent, which counts for all nodes. */
  readonly port: MessagePort
}

/** Each is answered by the message after the arrow, or by `failed`. One at a time, but for `close`. */
export type ToWorker =
  /** → `listening`, with the addresses as bound. */
  | { readonly kind: 'open'; readonly listen: ProxyAddresses }
  /** → `reloaded` */
  | { readonly kind: 'reload'; readonly proxy: ProxySetup }
  /** → `closed`: accepts nothing new, and open requests finish; with `cut` they get a short grace only. */
  | { readonly kind: 'close'; readonly cut: boolean }

export type Answer = 'ready' | 'listening' | 'reloaded' | 'closed'

export type FromWorker =
  /** Said once by itself: seeded and able to serve. `thread` as in base/process.ts. */
  | { readonly kind: 'ready'; readonly thread: string | undefined }
  | { readonly kind: 'listening'; readonly addresses: ProxyAddresses }
  | { readonly kind: 'reloaded' }
  | { readonly kind: 'closed' }
  /** Instead of the answer `to`. */
  | {
      readonly kind: 'failed'
      readonly to: Answer
      readonly message: string
      readonly hint?: string | undefined
    }
  | { readonly kind: 'log'; readonly line: WorkerLine }

/** A line for the node's log, which the agent writes for all its threads. */
export interface WorkerLine {
  readonly level: LogLevel
  readonly scope: string
  readonly sentence: string
  readonly fields: LogFields
}
