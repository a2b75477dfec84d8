// Everything that takes part: the upstream, nginx and what else there is to compare with, and a node for each lane. Proxies have one core for
// themselves, in turns; the upstream has the other.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Lane, lanes } from '../../support/lanes.ts'
import { NodeProcess } from '../../support/node-process.ts'
import { testDatabase } from '../../support/postgres.ts'
import { findProgram } from '../../support/program.ts'
import { startUpstream } from './answering.ts'
import { Cores } from './cores.ts'
import { gateways, installGateways, startGateway } from './gateways.ts'
import { type Rival, startHaproxy, startNginx, writeCertificate } from './rivals.ts'

/** A proxy, asked in one way. */
export interface Contender {
  readonly name: string
  readonly pid: number
  readonly port: number
  readonly tlsPort: number | undefined
  /** What all targets begin with. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
}

export interface Stage {
  readonly cores: Cores
  readonly upstreamPort: number
  readonly nginx: Contender
  readonly haproxy: Contender | undefined
  /** Those that npm has. */
  readonly gateways: readonly Contender[]
  /** The node of each lane, by its set of plugins. */
  readonly troop: Readonly<Record<PluginSet, Readonly<Record<Lane, Contender>>>>
  /** What could not be had. */
  readonly missing: readonly string[]
}

export interface StageOptions {
  readonly nginx: string
  readonly withGateways: boolean
  /** Takes what is to be ended after the run. */
  readonly releases: AsyncDisposableStack
}

const pluginSets = ['plain', 'key-auth', 'key-auth, rate-limiting, file-log'] as const
export type PluginSet = (typeof pluginSets)[number]

export async function setStage({ nginx, withGateways, releases }: StageOptions): Promise<Stage> {
  const cores = new Cores()
  const dir = await mkdtemp(join(tmpdir(), 'troop-bench-'))
  releases.defer(() => rm(dir, { recursive: true }))
  const files = await writeCertificate(dir)
  const upstream = await startUpstream(nginx)
  releases.defer(() => upstream.stop())
  await cores.pin(upstream.pid, 'others')
  const missing: string[] = []

  const enter = async (name: string, starting: Promise<Rival>): Promise<Contender> => {
    const rival = await starting
    releases.defer(() => rival.stop())
    await cores.pin(rival.pid, 'proxy')
    return { name, ...rival, path: '/plain', headers: {} }
  }
  const base = await enter('nginx', startNginx(nginx, upstream.port, files))
  const program = findProgram('haproxy')
  if (program === undefined) missing.push('haproxy')
  const haproxy = program && (await enter('haproxy', startHaproxy(program, upstream.port, files)))
  const others: Contender[] = []
  if (withGateways) {
    const installed = await installGateways().catch(() => undefined)
    for (const name of gateways)
      if (installed === undefined) missing.push(name)
      else others.push(await enter(name, startGateway(name, installed, upstream.url)))
  }

  const database = await testDatabase()
  releases.defer(() => database.drop())
  const nodes = new Map<Lane, NodeProcess>()
  for (const lane of lanes) {
    const node = await NodeProcess.start(database, {
      workers: 1,
      proxy: { fast_lane: lane === 'fast' },
      ssl_cert_path: files.certificate,
      ssl_key_path: files.key,
    })
    releases.defer(() => node.remove())
    await cores.pin(node.pid, 'proxy')
    nodes.set(lane, node)
  }
  await configure(nodes.get('fast') as NodeProcess, upstream.url, join(dir, 'requests.log'))
  const contender = (set: PluginSet, lane: Lane): Contender => {
    const node = nodes.get(lane) as NodeProcess
    const { pid, tlsPort } = node
    return {
      name: `Troop, ${set === 'plain' ? 'no plugin' : set}, ${lane} lane`,
      pid,
      tlsPort,
      port: Number(new URL(node.proxy).port),
      path: pathOf(set),
      headers: set === 'plain' ? {} : { apikey: 'abc' },
    }
  }
  const inLanes = (set: PluginSet) => ({ fast: contender(set, 'fast'), ordinary: contender(set, 'ordinary') })
  return {
    cores,
    upstreamPort: upstream.port,
    nginx: base,
    haproxy: haproxy || undefined,
    gateways: others,
    troop: {
      plain: inLanes('plain'),
      'key-auth': inLanes('key-auth'),
      'key-auth, rate-limiting, file-log': inLanes('key-auth, rate-limiting, file-log'),
    },
    missing,
  }
}

function pathOf(set: PluginSet): string {
  return `/${set.replaceAll(', ', '-')}`
}

/** One API for each set of plugins. */
async function configure(node: NodeProcess, upstream_url: string, path: string): Promise<void> {
  const write = async (path: string, body: Parameters<NodeProcess['ask']>[2]) => {
    const { status, text } = await node.ask('POST', path, body)
    if (status !== 201) throw new Error(`POST ${path}: ${status} ${text}`)
  }
  await write('/consumers', { username: 'anna' })
  await write('/consumers/anna/key-auth', { key: 'abc' })
  const configs = {
    'key-auth': {},
    'rate-limiting': { hour: 1_000_000_000, policy: 'local' },
    'file-log': { path },
  }
  for (const set of pluginSets) {
    const request_path = pathOf(set)
    const name = request_path.slice(1)
    await write('/apis', { name, request_path, upstream_url })
    for (const [plugin, config] of Object.entries(configs))
      if (set.split(', ').includes(plugin)) await write(`/apis/${name}/plugins`, { name: plugin, config })
  }
}
