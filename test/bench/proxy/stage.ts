// Everything that takes part: the upstream, nginx and what else there is to compare with, and a node for each lane. Proxies have one core for
// themselves, in turns; the upstream has the other.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Lane } from '../../support/lanes.ts'
import { NodeProcess } from '../../support/node-process.ts'
import { testDatabase } from '../../support/postgres.ts'
import { findProgram } from '../../support/program.ts'
import { startUpstream } from './answering.ts'
import { Cores } from './cores.ts'
import { gateways, startGateway } from './gateways.ts'
import { type CertificateFiles, type Rival, startHaproxy, startNginx, writeCertificate } from './rivals.ts'

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
  /** The node of each lane, asked for what has that set of plugins. */
  troop(set: PluginSet): Readonly<Record<Lane, Contender>>
  /** What could not be had. */
  readonly missing: readonly string[]
}

export interface StageOptions {
  readonly nginx: string
  readonly withGateways: boolean
  /** Takes what is to be ended after the run. */
  readonly releases: AsyncDisposableStack
}

export const pluginSets = ['plain', 'key-auth', 'key-auth, rate-limiting, file-log'] as const
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
  for (const name of withGateways ? gateways : [])
    await enter(name, startGateway(name, upstream.url)).then(
      (contender) => others.push(contender),
      () => missing.push(name),
    )

  const nodes = await startNodes(files, cores, releases)
  await configure(nodes.fast, upstream.url, join(dir, 'requests.log'))
  const troop = (set: PluginSet) => ({
    fast: contenderOf(nodes.fast, set, 'fast'),
    ordinary: contenderOf(nodes.ordinary, set, 'ordinary'),
  })
  return {
    cores,
    upstreamPort: upstream.port,
    nginx: base,
    haproxy: haproxy || undefined,
    gateways: others,
    troop,
    missing,
  }
}

/** One for each lane, on the same datastore. */
async function startNodes(
  files: CertificateFiles,
  cores: Cores,
  releases: AsyncDisposableStack,
): Promise<Record<Lane, NodeProcess>> {
  const database = await testDatabase()
  releases.defer(() => database.drop())
  const start = async (fast_lane: boolean) => {
    const tls = { ssl_cert_path: files.certificate, ssl_key_path: files.key }
    const node = await NodeProcess.start(database, { workers: 1, proxy: { fast_lane }, ...tls })
    releases.defer(() => node.remove())
    await cores.pin(node.pid, 'proxy')
    return node
  }
  return { fast: await start(true), ordinary: await start(false) }
}

function contenderOf({ pid, proxy, tlsPort }: NodeProcess, set: PluginSet, lane: Lane): Contender {
  return {
    name: `Troop, ${set === 'plain' ? 'no plugin' : set}, ${lane} lane`,
    pid,
    port: Number(new URL(proxy).port),
    tlsPort,
    path: pathOf(set),
    headers: set === 'plain' ? {} : { apikey: 'abc' },
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
