// Which plugins run on a request, with which configuration, in which order (docs/plugins.md "Order").
import { codeOf } from '../base/errors.ts'
import type { JsonObject, Row } from '../base/json.ts'
import type { Lookup, View } from '../catalog/catalog.ts'
import { plugin as pluginEntity } from '../entities/plugin.ts'
import { andThen, type KeyPair, type Phases, type Plugin, type PluginHost } from '../plugins/plugin.ts'
import { PluginFailed, PluginMissing } from './errors.ts'
import type { ProxyRequest } from './proxy-request.ts'
import type { Answer } from './request.ts'
import { Whereabouts } from './whereabouts.ts'

const [ofApi, ofConsumer] = pluginEntity.lookups as readonly [Lookup, Lookup]

/** A plugin of this worker, opened. `order` is its place among all: lower runs earlier. */
interface Installed {
  readonly plugin: Plugin
  readonly phases: Phases
  readonly order: number
}

/** A plugin with the configuration that applies to the request. */
export interface Step extends Installed {
  readonly config: JsonObject
}

/** The enabled configurations of one list of rows, in order. */
interface Chain {
  readonly steps: readonly Step[]
  /** A plugin that some row names and this node lacks. */
  readonly missing: string | undefined
}

/** The plugins of one worker, and the chains made of the lists that name them. */
export class PluginChains {
  readonly #installed: ReadonlyMap<string, Installed>
  readonly #chains = new WeakMap<readonly Row[], Chain>()
  /** Of consumers, by the ids of APIs. */
  readonly #consumerChains = new WeakMap<readonly Row[], Map<string, Chain>>()

  /**
   * Opens every plugin. Equal priorities keep the order of `plugins`.
   * @param whereabouts  where it is noted which of them has the thread; default: where nobody looks
   * @throws {PluginFailed} of one that can't be opened; the others are closed again
   */
  constructor(plugins: readonly Plugin[], host: PluginHost, whereabouts = new Whereabouts()) {
    const sorted = [...plugins].sort((a, b) => b.priority - a.priority)
    const installed = new Map<string, Installed>()
    this.#installed = installed
    for (const [order, plugin] of sorted.entries()) {
      const logger = host.logger.scope(`plugins/${plugin.name}`)
      try {
        const phases = whereabouts.follow(plugin.name, () => plugin.open({ ...host, logger }))
        installed.set(plugin.name, { plugin, order, phases })
      } catch (error) {
        // Those before it are open already, and nobody gets hold of them.
        void this.stop().catch(() => undefined)
        throw new PluginFailed(plugin.name, 'open', error)
      }
    }
  }

  /** The chain of a list from the catalog, made once as long as the list is the same. */
  chainOf(rows: readonly Row[]): Chain {
    let chain = this.#chains.get(rows)
    if (!chain) {
      chain = this.#makeChain(rows)
      this.#chains.set(rows, chain)
    }
    return chain
  }

  /** The chain of what is configured for an API, or for all. Rejects as a lookup does. */
  chainFor(view: View, api: Row): Chain | Promise<Chain> {
    const rows = view.many(pluginEntity, ofApi, api.id as string, null)
    return andThen(rows, (rows) => this.chainOf(rows))
  }

  /** The chain of what is configured for a consumer, on this API or on all. Rejects as a lookup does. */
  chainForConsumer(view: View, api: Row, consumer: Row): Chain | Promise<Chain> {
    const rows = view.many(pluginEntity, ofConsumer, consumer.id as string)
    return andThen(rows, (rows) =>
      rows.length === 0 ? nothing : this.#consumerChain(rows, api.id as string),
    )
  }

  /** Closes what plugins opened, each even if another fails to close. */
  async stop(): Promise<void> {
    const stopped = await Promise.allSettled(
      [...this.#installed.values()].map(async ({ phases }) => phases.stop?.()),
    )
    const failures = stopped.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))
    if (failures.length > 0) throw new AggregateError(failures, 'plugins failed to stop')
  }

  /** Made once for each API as long as the list is the same: most consumers have none, and few have one for many APIs. */
  #consumerChain(rows: readonly Row[], apiId: string): Chain {
    const chains = this.#consumerChains.get(rows) ?? new Map<string, Chain>()
    this.#consumerChains.set(rows, chains)
    const known = chains.get(apiId)
    if (known) return known
    const own = rows.filter(({ api_id }) => api_id == null || api_id === apiId)
    const chain = own.length === 0 ? nothing : this.#makeChain(own)
    chains.set(apiId, chain)
    return chain
  }

  #makeChain(rows: readonly Row[]): Chain {
    const steps: Step[] = []
    let missing: string | undefined
    for (const [name, { config }] of applying(rows)) {
      const installed = this.#installed.get(name)
      if (installed) steps.push({ ...installed, config: config as JsonObject })
      else missing ??= name
    }
    return { steps: steps.sort((a, b) => a.order - b.order), missing }
  }
}

const nothing: Chain = { steps: [], missing: undefined }

/** Of each plugin the configuration that applies: that of the API, if it is enabled, else that of all APIs. */
function applying(rows: readonly Row[]): ReadonlyMap<string, Row> {
  const chosen = new Map<string, Row>()
  for (const row of rows) {
    const name = String(row.name)
    if (row.enabled === true && chosen.get(name)?.api_id == null) chosen.set(name, row)
  }
  return chosen
}

/**
 * The access phase of one request. It stays in the same tick as long as all that it asks for is in memory.
 * `steps` are those that apply by now, run or not: the later phases run them all, also after a refusal.
 */
export class AccessRun {
  readonly #chains: PluginChains
  readonly #view: View
  readonly #request: ProxyRequest
  /** Those that apply to everybody. */
  #apiSteps: readonly Step[] = []
  #steps: readonly Step[] = []
  #next = 0

  constructor(chains: PluginChains, view: View, request: ProxyRequest) {
    this.#chains = chains
    this.#view = view
    this.#request = request
  }

  get steps(): readonly Step[] {
    return this.#steps
  }

  /** The plugin that was last given the request, to say who failed. */
  get current(): string | undefined {
    return this.#steps[this.#next - 1]?.plugin.name
  }

  /**
   * @returns  the answer of the plugin that gave one, or undefined when the request may pass
   * @throws {Refusal} of the plugin that refused; {Unknown} of a lookup; {PluginMissing}; whatever a plugin throws
   */
  start(): Answer | undefined | Promise<Answer | undefined> {
    return andThen(this.#chains.chainFor(this.#view, this.#request.api), ({ steps, missing }) => {
      this.#apiSteps = this.#steps = steps
      if (missing !== undefined) throw new PluginMissing(missing)
      return this.#run()
    })
  }

  #run(): Answer | undefined | Promise<Answer | undefined> {
    for (let step = this.#steps[this.#next]; step; step = this.#steps[this.#next]) {
      this.#next++
      const answer = this.#runStep(step)
      if (answer instanceof Promise) return answer.then((answer) => answer ?? this.#run())
      if (answer) return answer
    }
    return undefined
  }

  #runStep({ phases, config }: Step): Answer | undefined | Promise<Answer | undefined> {
    if (!phases.access) return undefined
    const before = this.#request.consumer
    const answer = phases.access(this.#request, config, { catalog: this.#view })
    return andThen(answer, (answer) => {
      const { consumer } = this.#request
      if (answer || !consumer || consumer === before) return answer
      return this.#specialise(consumer)
    })
  }

  /** A consumer is known: its own configurations replace those for everybody, of the plugins that have not run yet. */
  #specialise(consumer: Row): undefined | Promise<undefined> {
    const own = this.#chains.chainForConsumer(this.#view, this.#request.api, consumer)
    return andThen(own, ({ steps, missing }) => {
      if (missing !== undefined) throw new PluginMissing(missing)
      // Most consumers have none, and then nothing changes, unless another one was known before.
      if (steps.length > 0 || this.#steps !== this.#apiSteps)
        this.#steps = specialised(this.#steps.slice(0, this.#next), this.#apiSteps, steps)
      return undefined
    })
  }
}

/**
 * The certificate that the plugins of `api` have for a server name. A plugin that is missing has none: the requests
 * that follow are refused.
 */
export function chooseCertificate(
  chain: Chain,
  serverName: string,
  catalog: View,
): KeyPair | undefined | Promise<KeyPair | undefined> {
  const steps = chain.steps.filter(({ phases }) => phases.certificate)
  const ask = (i: number): KeyPair | undefined | Promise<KeyPair | undefined> => {
    const step = steps[i]
    if (!step) return undefined
    const answer = chosenBy(step, serverName, catalog)
    return andThen(answer, (pair) => pair ?? ask(i + 1))
  }
  return ask(0)
}

/** @throws {PluginFailed}, and {Unknown} of a lookup; or rejects so */
function chosenBy(
  { plugin, phases, config }: Step,
  serverName: string,
  catalog: View,
): undefined | KeyPair | Promise<undefined | KeyPair> {
  const failed = (error: unknown): never => {
    throw codeOf(error) === 'unknown' ? error : new PluginFailed(plugin.name, 'certificate', error)
  }
  try {
    const answer = phases.certificate?.(serverName, config, { catalog })
    return answer instanceof Promise ? answer.catch(failed) : answer
  } catch (error) {
    return failed(error)
  }
}

/** What has run, then what is left: of each plugin the consumer's configuration if there is one, else everybody's. */
function specialised(
  run: readonly Step[],
  apis: readonly Step[],
  consumers: readonly Step[],
): readonly Step[] {
  const last = run.at(-1)?.order ?? -1
  const own = consumers.filter(({ plugin, order }) => plugin.perConsumer && order > last)
  const replaced = new Set(own.map(({ order }) => order))
  const rest = apis.filter(({ order }) => order > last && !replaced.has(order))
  return [...run, ...[...rest, ...own].sort((a, b) => a.order - b.order)]
}
