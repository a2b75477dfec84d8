// What `npm start` runs: a cluster of real node processes on the embedded Postgres, with something to proxy to.
import { type AddressInfo, createServer } from 'node:net'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../base/clock.ts'
import { codeOf, describeError } from '../base/errors.ts'
import { loadConfig } from '../config/config.ts'
import { foldersOfPlugins, pluginVersions } from '../node/plugins.ts'
import { type Echo, startEcho } from './echo.ts'
import { bringBack, introduction } from './introduction.ts'
import { LocalNode } from './local-node.ts'
import { type NodeView, Overview } from './overview.ts'
import { type PluginCode, PluginWatch } from './plugin-watch.ts'

export interface DevOptions {
  /** How many nodes. */
  readonly nodes: number
  readonly screen: DevScreen
  /** Calls `pressed` with each key, from now until what it returns is called; undefined where there are no keys. */
  readonly keys: ((pressed: (key: string) => void) => () => void) | undefined
  /** As the process has it; settings in it are those of all nodes. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** What the command line is called by, and where that works if it does not work everywhere. */
  readonly troop: string
  readonly directory: string | undefined
}

/** Where a person reads. */
export interface DevScreen {
  /** A line that stays. */
  print(line: string): void
  /** How the nodes are now, again and again; nothing to be shown any more when there are none. */
  show(nodes: readonly NodeView[]): void
}

/** Ports of the first node, unless something else has them; each further node's are ten higher. */
const listeners = {
  TROOP_PROXY_LISTEN: 8000,
  TROOP_ADMIN_API_LISTEN: 8001,
  TROOP_CLUSTER_LISTEN: 7946,
  TROOP_CLUSTER_LISTEN_RPC: 7373,
}

/** How often the nodes are looked at. */
const watchIntervalMs = 500

/** As a terminal sends it that leaves it to us. */
const ctrlC = '\u0003'

/** Runs until the process is told to stop, by Ctrl-C as a rule; nothing is left running then. */
export async function runDev(options: DevOptions): Promise<void> {
  const dev = new Dev(options)
  const stop = () => dev.stop()
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const signal of signals) process.on(signal, stop)
  const releaseKeys = options.keys?.((key) => dev.press(key))
  try {
    await dev.run()
  } finally {
    releaseKeys?.()
    for (const signal of signals) process.off(signal, stop)
  }
}

class Dev {
  readonly #options: DevOptions
  readonly #home: string
  readonly #stopping = new AbortController()
  readonly #nodes: LocalNode[] = []
  /** Those that ran, and whose process is not there any more. */
  readonly #ended = new Set<LocalNode>()
  readonly #plugins = new PluginWatch({
    look: () => this.#pluginCode(),
    changed: () => this.#up.promise.then(() => this.#reloadPlugins()),
    clock: systemClock,
  })
  /** Resolves when all nodes have been started, or it is over. */
  readonly #up = Promise.withResolvers<void>()

  constructor(options: DevOptions) {
    this.#options = options
    this.#home = options.env.HOME ?? homedir()
  }

  async run(): Promise<void> {
    const { screen } = this.#options
    const echo = await startEcho()
    try {
      screen.print(`starting ${this.#options.nodes} nodes …`)
      // Before any node reads them, so that no change is between two nodes.
      await this.#plugins.start()
      await Promise.race([this.#startAll(), this.#stopped()])
      this.#up.resolve()
      if (!this.#stopping.signal.aborted) await this.#introduce(echo)
      await this.#tellOfPlugins()
      await this.#watch()
    } finally {
      this.#stopping.abort()
      this.#up.resolve()
      await this.#plugins.stop()
      screen.show([])
      screen.print('stopping …')
      await Promise.all(this.#nodes.map((node) => node.stop()))
      await echo.stop()
      screen.print('stopped; what you configured is kept')
    }
  }

  stop(): void {
    this.#stopping.abort()
  }

  press(key: string): void {
    if (key === ctrlC) this.stop()
    if (key !== 'r' || this.#stopping.signal.aborted) return
    for (const node of this.#ended) void this.#bringBack(node)
    this.#ended.clear()
  }

  #stopped(): Promise<void> {
    return new Promise((resolve) => this.#stopping.signal.addEventListener('abort', () => resolve()))
  }

  /** One after the other: the first makes the datastore, the others find it. */
  async #startAll(): Promise<void> {
    const { nodes, env } = this.#options
    for (let number = 1; number <= nodes; number++) {
      const workingDir = join(this.#home, '.troop', 'dev', `node-${number}`)
      const node = new LocalNode({ number, workingDir, listeners: await this.#chooseListeners(number), env })
      if (this.#stopping.signal.aborted) return
      this.#nodes.push(node)
      await this.#start(node)
    }
  }

  async #start(node: LocalNode): Promise<void> {
    await node.start()
    const { number, proxy, admin } = node
    const where = `proxy ${proxy}, admin ${admin}, process ${await node.pid()}`
    this.#options.screen.print(`  node ${number} serves: ${where}`)
  }

  async #introduce(echo: Echo): Promise<void> {
    const { screen, keys, troop, directory } = this.#options
    const nodes = this.#nodes
    const isTried = await fetch(`${nodes[0]?.admin}/apis/echo`).then(
      ({ ok }) => ok,
      () => false,
    )
    const surroundings = { nodes, echo, troop, directory, home: this.#home, isTried, hasKeys: !!keys }
    for (const line of introduction(surroundings)) screen.print(line)
  }

  async #tellOfPlugins(): Promise<void> {
    const { folders } = await this.#pluginCode()
    if (folders.length === 0 || this.#stopping.signal.aborted) return
    this.#options.screen.print(`Your plugins are reloaded when something changes in ${folders.join(', ')}.`)
  }

  /** Of the custom plugins that the nodes are configured with: theirs is the environment of this process. */
  async #pluginCode(): Promise<PluginCode> {
    const { env } = this.#options
    const loaded = await loadConfig({ env }).catch(() => undefined)
    if (!loaded) return { versions: {}, folders: [] }
    const { customPlugins } = loaded.config
    const versions = pluginVersions(customPlugins, loaded.path)
    return { versions: await versions, folders: await foldersOfPlugins(customPlugins, loaded.path) }
  }

  /** Node by node, until one refuses: the others would for the same reason. */
  async #reloadPlugins(): Promise<void> {
    const { screen } = this.#options
    const done: number[] = []
    const changed = new Set<string>()
    for (const node of this.#nodes) {
      if (this.#stopping.signal.aborted) return
      try {
        for (const name of (await node.reload()).plugins ?? []) changed.add(name)
        done.push(node.number)
      } catch (error) {
        if (codeOf(error) === 'control-away') continue
        screen.print(`node ${node.number} goes on as it was: ${describeError(error)}`)
        const { hint } = error as { hint?: string }
        if (hint !== undefined) screen.print(`  ${hint}`)
        return
      }
    }
    const what = [...changed].map((name) => `the code of ${name} changed`)
    if (done.length > 0) screen.print([`reloaded node ${done.join(', ')}`, ...what].join('; '))
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stopping
    const overview = new Overview(this.#nodes)
    while (!signal.aborted) {
      const views = await overview.look(signal)
      if (signal.aborted) return
      for (const { number, pid } of views) this.#noteProcess(this.#nodes[number - 1] as LocalNode, pid)
      this.#options.screen.show(views)
      await systemClock.sleep(watchIntervalMs, signal)
    }
  }

  #noteProcess(node: LocalNode, pid: number | undefined): void {
    if (pid !== undefined || node.isStarting) this.#ended.delete(node)
    else if (!this.#ended.has(node)) {
      this.#ended.add(node)
      const { keys, screen, troop } = this.#options
      const key = keys ? 'press r, or ' : ''
      screen.print('')
      screen.print(`node ${node.number} has ended; to start it again, ${key}run`)
      screen.print(`  ${bringBack(node, { troop, home: this.#home })}`)
    }
  }

  async #bringBack(node: LocalNode): Promise<void> {
    const { screen } = this.#options
    try {
      screen.print(`starting node ${node.number} …`)
      await this.#start(node)
    } catch (error) {
      if (!this.#stopping.signal.aborted) screen.print(describeError(error))
    }
  }

  /** The usual ports, and others in place of those that are taken. */
  async #chooseListeners(number: number): Promise<Record<string, string>> {
    const { env, screen } = this.#options
    const chosen: Record<string, string> = { TROOP_PROXY_LISTEN_SSL: `127.0.0.1:${await freePort(0)}` }
    for (const [variable, usual] of Object.entries(listeners)) {
      const port = usual + 10 * (number - 1)
      const free = env[variable] === undefined ? await freePort(port) : await freePort(0)
      if (free !== port && env[variable] === undefined) screen.print(`  port ${port} is taken: using ${free}`)
      chosen[variable] = `127.0.0.1:${free}`
    }
    return chosen
  }
}

/** `wanted` if nothing has it, else a port that is free now. */
function freePort(wanted: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (error) => (wanted === 0 ? reject(error) : resolve(freePort(0))))
    server.listen({ host: '127.0.0.1', port: wanted, exclusive: true }, () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}
