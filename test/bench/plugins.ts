// What each shipped plugin adds to a request: processor time of a node with one worker (its agent left out), in the fast lane,
// beside that of the same request without it. They are asked in short blocks that take turns, so that a slow moment of the
// machine hits both. Left out are what does nothing to most requests (ssl) and what sends nothing any more (galileo, runscope).
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../support/log.ts'
import { markdownTable, quantile } from '../support/measure.ts'
import { Nginx } from '../support/nginx.ts'
import { NodeProcess } from '../support/node-process.ts'
import { testDatabase } from '../support/postgres.ts'
import { findProgram } from '../support/program.ts'
import { Slapd } from '../support/slapd.ts'
import { othersCpuMs } from '../support/usage.ts'
import type { BenchOptions } from './bench.ts'
import { BlockClient } from './plugins/blocks.ts'
import { Receivers } from './plugins/receivers.ts'
import { oauth2Token, person, type Setup, setups } from './plugins/setups.ts'
import { answering } from './proxy/answering.ts'
import { Cores } from './proxy/cores.ts'

/** Before that many requests much of a plugin runs as it was read, uncompiled. */
const warmUpRequests = 30_000

const connections = 50
/** On each connection, in one block: some 20 ms of a core. */
const timesInBlock = 8

/** What plugins gather before they send it is sent by then, and so counted with the block that made it. */
const gatheredMs = 60

/** Rounds are counted in so many groups, and what their figures differ by says how much is chance. */
const groups = 15

const plain: Setup = { name: 'plain' }

/** Processor time per request, in µs, of one round. */
interface Round {
  readonly cpuUs: number
  /** Of the plain request. */
  readonly baseUs: number
  /** Of what the plugin comes on top of. */
  readonly belowUs: number
}

export async function bench(options: BenchOptions): Promise<string> {
  const { toy, quick = false, report = () => {} } = options
  const nginx = findProgram('nginx')
  if (nginx === undefined) return 'needs nginx: nothing was measured'
  const cores = new Cores()
  await using releases = new AsyncDisposableStack()
  const upstream = await Nginx.start(nginx, answering)
  releases.defer(() => upstream.stop())
  const receivers = await new Receivers().start()
  releases.defer(() => receivers.stop())
  const program = findProgram('slapd')
  const slapd = program && (await Slapd.start(program, { people: { [person.name]: person.password } }))
  if (slapd) releases.defer(() => slapd.stop())
  const database = await testDatabase()
  releases.defer(() => database.drop())
  const node = await NodeProcess.start(database, { workers: 1 })
  releases.defer(() => node.remove())
  await cores.pin(upstream.pid, 'others')
  await cores.pin(node.pid, 'proxy')

  const logPath = join(node.dir, 'requests.log')
  const surroundings = { upstreamUrl: upstream.url, receivers, slapd: slapd || undefined, logPath }
  const known = setups(surroundings)
  const measured = known.filter(({ name, plugin = name }) =>
    toy ? name === 'key-auth' : (options.only ?? [plugin]).includes(plugin),
  )
  const all = [
    plain,
    ...known.filter((setup) => measured.some((one) => one === setup || one.above === setup.name)),
  ]
  await configure(node, all, upstream.url)
  const rounds = toy ? groups : groups * (quick ? 8 : 30)
  const client = await BlockClient.connect(node.proxy, connections)
  releases.defer(() => client.stop())
  // This process asks, beside the upstream.
  await cores.pin(process.pid, 'others')
  const block = (head: string) => client.run(head, timesInBlock)
  const costOf = async (head: string, isGathered: boolean) => {
    const before = await othersCpuMs(node.pid)
    await block(head)
    if (isGathered) await sleep(gatheredMs)
    const after = await othersCpuMs(node.pid)
    return ((after - before) * 1000) / (connections * timesInBlock)
  }
  // In turns, since what was compiled for one has to be compiled anew where the next one does it differently.
  const heads = all.map((setup) => requestOf(setup, fieldsOf(setup, all)))
  for (let asked = 0; asked < (toy ? 0 : warmUpRequests); asked += connections * timesInBlock)
    for (const head of heads) await block(head)
  const measurements = new Map<Setup, Round[]>()
  for (const setup of measured) {
    const isGathered = setup.gathers === true
    // All three say the same of who asks: to pass that on is no work of the plugin.
    const fields = fieldsOf(setup, all)
    const below = setup.above === undefined ? plain : named(all, setup.above)
    const made: Round[] = []
    for (let round = 0; round < rounds; round++) {
      const order = [...new Set([plain, below, setup])]
      // Each is as often the first as the last.
      if (round % 2 === 1) order.reverse()
      const costs = new Map<Setup, number>()
      for (const one of order) costs.set(one, await costOf(requestOf(one, fields), isGathered))
      const us = (one: Setup) => costs.get(one) as number
      made.push({ baseUs: us(plain), belowUs: us(below), cpuUs: us(setup) })
    }
    measurements.set(setup, made)
    report(rowOf([setup, made]).join('  '))
  }
  const lost = / dropped/.test(node.output) ? '\n\nlog records were dropped' : ''
  return `${cores.machine}\n\n${markdownTable([head, ...[...measurements].map(rowOf)])}${lost}`
}

const head = ['plugin', 'plain, CPU µs/request', 'added µs', '% of plain', 'half of the groups']

/** What it adds, by all rounds together; the last cell has the middle half of what groups of rounds say by themselves. */
function rowOf([{ name, above }, rounds]: readonly [Setup, readonly Round[]]): string[] {
  const size = rounds.length / groups
  const parts = Array.from({ length: groups }, (_, i) => addedBy(rounds.slice(i * size, (i + 1) * size)))
  const shares = parts.map(({ share }) => share)
  const { baseUs, addedUs, share } = addedBy(rounds)
  const middle = [quantile(shares, 0.25), quantile(shares, 0.75)].map((cell) => cell.toFixed(1))
  return [
    above === undefined ? name : `${name} (above ${above})`,
    ...[baseUs, addedUs, share].map((cell) => cell.toFixed(1)),
    middle.join(' – '),
  ]
}

/** Means of some rounds; the share is in %. */
function addedBy(rounds: readonly Round[]) {
  const mean = (of: keyof Round) => rounds.reduce((sum, round) => sum + round[of], 0) / rounds.length
  const addedUs = mean('cpuUs') - mean('belowUs')
  return { baseUs: mean('baseUs'), addedUs, share: (100 * addedUs) / mean('baseUs') }
}

function requestOf(setup: Setup, fields: Readonly<Record<string, string>>): string {
  const lines = Object.entries({ host: 'gateway.test', ...fields }).map(
    ([name, value]) => `${name}: ${value}`,
  )
  return [`GET /${pathOf(setup)} HTTP/1.1`, ...lines, '', ''].join('\r\n')
}

/** One API for each setup. Resolves when each of them answers. */
async function configure(node: NodeProcess, all: readonly Setup[], upstream_url: string): Promise<void> {
  const write = async (path: string, body: Parameters<NodeProcess['ask']>[2]) => {
    const { status, text, body: made } = await node.ask('POST', path, body)
    if (status !== 201) throw new Error(`POST ${path}: ${status} ${text}`)
    return made
  }
  await write('/consumers', { username: person.name })
  const redirect_uri = ['https://app.test/']
  const client = await write(`/consumers/${person.name}/oauth2`, { name: 'app', redirect_uri })
  await write('/oauth2_tokens', { credential_id: client.id, expires_in: 86_400, access_token: oauth2Token })
  for (const setup of all) {
    const path = pathOf(setup)
    await write('/apis', { name: path, request_path: `/${path}`, upstream_url })
    for (const [kind, attributes] of Object.entries(setup.gives ?? {}))
      await write(`/consumers/${person.name}/${kind}`, attributes)
    for (const { name, plugin = name, config = {} } of [...belowOf(setup, all), setup])
      if (plugin !== plain.name) await write(`/apis/${path}/plugins`, { name: plugin, config })
  }
  for (const setup of all)
    await until(async () => {
      const { status } = await node.call(`/${pathOf(setup)}`, { headers: fieldsOf(setup, all) })
      if (status >= 400 && status < 500) throw new Error(`${setup.name} answers ${status}`)
      return status === 200
    })
}

function pathOf({ name }: Setup): string {
  return name.replaceAll(/[^\w-]+/g, '-')
}

function named(all: readonly Setup[], name: string): Setup {
  return all.find((setup) => setup.name === name) as Setup
}

function belowOf({ above }: Setup, all: readonly Setup[]): readonly Setup[] {
  return above === undefined ? [] : [named(all, above)]
}

function fieldsOf(setup: Setup, all: readonly Setup[]): Readonly<Record<string, string>> {
  return Object.assign({}, ...[...belowOf(setup, all), setup].map(({ headers }) => headers))
}
