// What `npm start` runs: a cluster of real node processes on the embedded Postgres, with something to proxy to.
import { type AddressInfo, createServer } from 'node:net'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../base/clock.ts'
import { type Echo, startEcho } from './echo.ts'
import { NodeChild } from './node-child.ts'
import { membersOf } from './table.ts'

export interface DevOptions {
  /** How many nodes. */
  readonly nodes: number
  /** Told each line to show. */
  readonly print: (line: string) => void
  /** As the process has it; settings in it are those of all nodes. */
  readonly env: Readonly<Record<string, string | undefined>>
}

/** Ports of the first node, unless something else has them; each further node's are ten higher. */
const listeners = {
  TROOP_PROXY_LISTEN: 8000,
  TROOP_ADMIN_API_LISTEN: 8001,
  TROOP_CLUSTER_LISTEN: 7946,
  TROOP_CLUSTER_LISTEN_RPC: 7373,
}

/** How often the members are looked at, to tell what changed. */
const watchIntervalMs = 500

/** Runs until the process is told to stop, by Ctrl-C as a rule; nothing is left running then. */
export async function runDev(options: DevOptions): Promise<void> {
  const { print, env } = options
  const stopping = new AbortController()
  // Ctrl-C reaches the nodes as well, being of one process group; a plain kill reaches this process alone.
  const stop = () => stopping.abort()
  process.on('SIGINT', stop).on('SIGTERM', stop)
  const echo = await startEcho()
  const children: NodeChild[] = []
  try {
    print(`starting ${options.nodes} nodes …`)
    for (let number = 1; number <= options.nodes && !stopping.signal.aborted; number++) {
      const child = new NodeChild({
        number,
        workingDir: join(env.HOME ?? homedir(), '.troop', 'dev', `node-${number}`),
        listeners: await chooseListeners(number, options),
        env,
      })
      children.push(child)
      // One after the other: the first makes the datastore, the others find it.
      await child.serving()
      print(`  node ${number} serves: proxy ${child.proxy}, admin API ${child.admin}, process ${child.pid}`)
    }
    if (!stopping.signal.aborted) for (const line of introduction(children, echo)) print(line)
    await watch(children, print, stopping.signal)
  } finally {
    await Promise.all(children.map((child) => child.stop()))
    await echo.stop()
    process.off('SIGINT', stop).off('SIGTERM', stop)
    print('stopped; what you configured is kept')
  }
}

function introduction(children: readonly NodeChild[], echo: Echo): string[] {
  const [first, second = first] = children as [NodeChild, NodeChild?]
  const last = children.at(-1) as NodeChild
  return [
    '',
    `Troop is running. Upstream to try it with: ${echo.url} (answers what it is asked)`,
    `Logs: ${children.map(({ logFile }) => logFile).join(' ')}`,
    '',
    'Try, in another terminal:',
    '',
    `  # add an API through node 1, and call it at once through node ${last.number}`,
    `  curl -s -d name=echo -d request_path=/echo -d upstream_url=${echo.url} ${first.admin}/apis; curl -s ${last.proxy}/echo`,
    '',
    '  # ask callers for a key: the next call is refused by every node',
    `  curl -s -d name=key-auth ${second.admin}/apis/echo/plugins; curl -si ${first.proxy}/echo`,
    '',
    '  # give someone a key, and call with it',
    `  curl -s -d username=bob ${first.admin}/consumers; curl -s -d key=secret ${last.admin}/consumers/bob/key-auth; curl -s '${second.proxy}/echo?apikey=secret'`,
    '',
    '  # who is there',
    `  curl -s ${first.admin}/cluster`,
    '',
    ...(children.length > 1
      ? [
          `  # end node ${last.number} as a crash would, and change something: the answer names who does not have it`,
          `  kill -9 ${last.pid}; curl -si -d username=eve ${first.admin}/consumers`,
          '',
        ]
      : []),
    'Ctrl-C stops everything.',
    '',
  ]
}

/** Tells how the members change, as the first node that answers knows them. */
async function watch(
  children: readonly NodeChild[],
  print: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  let shown = ''
  while (!signal.aborted) {
    const members = await membersOf(children)
    if (members !== undefined && members !== shown) {
      shown = members
      print(members)
    }
    await systemClock.sleep(watchIntervalMs, signal)
  }
}

/** The usual ports, and others in place of those that are taken. */
async function chooseListeners(number: number, { env, print }: DevOptions): Promise<Record<string, string>> {
  const chosen: Record<string, string> = { TROOP_PROXY_LISTEN_SSL: `127.0.0.1:${await freePort(0)}` }
  for (const [variable, usual] of Object.entries(listeners)) {
    const port = usual + 10 * (number - 1)
    const free = env[variable] === undefined ? await freePort(port) : await freePort(0)
    if (free !== port && env[variable] === undefined) print(`  port ${port} is taken: using ${free}`)
    chosen[variable] = `127.0.0.1:${free}`
  }
  return chosen
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
