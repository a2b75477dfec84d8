// What each shipped plugin adds to a request: processor time of a node with one worker (its agent left out), in the fast lane, beside that of the
// same request without it, taking turns, so that a slow moment hits both. Left out are what does nothing to most requests
// (ssl) and what sends nothing any more (galileo, runscope).
import { join } from 'node:path'
import { until } from '../support/log.ts'
import { median, table } from '../support/measure.ts'
import { Nginx } from '../support/nginx.ts'
import { NodeProcess } from '../support/node-process.ts'
import { testDatabase } from '../support/postgres.ts'
import { findProgram } from '../support/program.ts'
import { Slapd } from '../support/slapd.ts'
import type { BenchOptions } from './bench.ts'
import { Receivers } from './plugins/receivers.ts'
import { oauth2Token, person, type Setup, setups } from './plugins/setups.ts'
import { answering } from './proxy/answering.ts'
import { Cores } from './proxy/cores.ts'
import { loadOn } from './proxy/load.ts'

/** Before that many requests much of a plugin runs as it was read, uncompiled: on a busy machine that is most of a minute. */
const warmUpRequests = 8_000

/** Of one turn: many short ones tell more than a few long ones, since a slow moment hits fewer of them. */
const seconds = 1

/** For a turn in which something is answered. */
const triesMax = 10

const plain: Setup = { name: 'plain' }

/** Of one round, its processor time, that of the plain request just before, and of what the plugin comes on top of. */
interface Turn {
  readonly cpuUs: number
  readonly baseUs: number
  readonly belowUs: number
}

export async function bench(options: BenchOptions): Promise<string> {
  const { toy, quick = false, report = () => {} } = options
  const nginx = findProgram('nginx')
  if (nginx === undefined || findProgram('wrk') === undefined)
    return 'needs nginx and wrk: nothing was measured'
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
  const rounds = toy ? 1 : quick ? 5 : 11
  const turns = new Map<Setup, Turn[]>([plain, ...measured].map((setup) => [setup, []]))
  const loadOf = async (setup: Setup) => {
    const options = { seconds, headers: headersOf(setup, all), prefix: cores.besides, withoutAgent: true }
    for (let tries = 1; ; tries++) {
      const load = await loadOn(`${node.proxy}/${pathOf(setup)}`, node.pid, options)
      // On a machine with much to do wrk may end before it had its turn.
      if (load.requestsPerS > 0 || tries === triesMax) return load
    }
  }
  for (const setup of toy ? [] : all) {
    for (let requests = 0; requests < warmUpRequests; )
      requests += (await loadOf(setup)).requestsPerS * seconds
  }
  for (let round = 0; round < rounds; round++) {
    for (const setup of measured) {
      const { cpuUs: baseUs } = await loadOf(plain)
      turns.get(plain)?.push({ cpuUs: baseUs, baseUs, belowUs: baseUs })
      const belowUs = setup.above === undefined ? baseUs : (await loadOf(named(all, setup.above))).cpuUs
      const { cpuUs } = await loadOf(setup)
      report(`${setup.name}: ${cpuUs.toFixed(1)} µs, ${(cpuUs - belowUs).toFixed(1)} of them its own`)
      turns.get(setup)?.push({ cpuUs, baseUs, belowUs })
    }
  }
  const lost = / dropped/.test(node.output) ? '\n\nlog records were dropped' : ''
  return `${cores.machine}\n\n${table([head, ...[...turns].map(rowOf)])}${lost}`
}

const head = ['plugin', 'CPU µs/request', 'added µs', '% of plain', 'least µs', 'added µs', '% of plain']

/**
 * What it adds: the middle of all rounds, then the least of them beside the least of those without it. What else the machine does
 * only ever adds, so that of many rounds the least are the most alike.
 */
function rowOf([{ name, above }, turns]: readonly [Setup, readonly Turn[]]): string[] {
  const least = (of: keyof Turn) => Math.min(...turns.map((turn) => turn[of]))
  const leastAdded = least('cpuUs') - least('belowUs')
  const added = turns.map(({ cpuUs, belowUs }) => cpuUs - belowUs)
  const shares = turns.map(({ cpuUs, belowUs, baseUs }) => (100 * (cpuUs - belowUs)) / baseUs)
  const cells = [
    ...[median(turns.map(({ cpuUs }) => cpuUs)), median(added), median(shares)],
    ...[least('cpuUs'), leastAdded, (100 * leastAdded) / least('baseUs')],
  ]
  return [above === undefined ? name : `${name} (above ${above})`, ...cells.map((cell) => cell.toFixed(1))]
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
      const { status } = await node.call(`/${pathOf(setup)}`, { headers: headersOf(setup, all) })
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

function headersOf(setup: Setup, all: readonly Setup[]): Readonly<Record<string, string>> {
  return Object.assign({}, ...[...belowOf(setup, all), setup].map(({ headers }) => headers))
}
