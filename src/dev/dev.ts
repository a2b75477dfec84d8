// What `npm start` runs: a gateway in the foreground on the embedded Postgres, with something to proxy to.
import { createServer } from 'node:net'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { parseAddress } from '../base/address.ts'
import { loadConfig } from '../config/config.ts'
import { startNode } from '../node/node.ts'
import { type Echo, startEcho } from './echo.ts'

export interface DevOptions {
  /** Told each line to show. */
  readonly print: (line: string) => void
  /** As the process has it; settings in it win over those of `dev`. */
  readonly env: Readonly<Record<string, string | undefined>>
}

/** Listeners by environment variable, with the ports that are used unless something else has them. */
const listeners = {
  TROOP_PROXY_LISTEN: '127.0.0.1:8000',
  TROOP_PROXY_LISTEN_SSL: '127.0.0.1:8443',
  TROOP_ADMIN_API_LISTEN: '127.0.0.1:8001',
  TROOP_CLUSTER_LISTEN: '127.0.0.1:7946',
  TROOP_CLUSTER_LISTEN_RPC: '127.0.0.1:7373',
}

/** Runs until the node is told to stop, by Ctrl-C as a rule; nothing is left running then. */
export async function runDev(options: DevOptions): Promise<void> {
  const { print, env: given } = options
  const env = {
    TROOP_WORKING_DIR: join(homedir(), '.troop', 'dev'),
    ...(await freeListeners(options)),
    ...given,
  }
  const { config, path } = await loadConfig({ env })
  const echo = await startEcho()
  try {
    const node = await startNode({
      config,
      configPath: path,
      env,
      report: (line) => print(`  ${line}`),
      foreground: false,
    })
    for (const line of introduction(node.listeners, echo, node.datastore, config.workingDir)) print(line)
    await node.stopped
    print('stopped; what you configured is kept')
  } finally {
    await echo.stop()
  }
}

function introduction(
  listening: Readonly<Record<string, string>>,
  echo: Echo,
  datastore: string,
  workingDir: string,
): string[] {
  const admin = `http://${listening.admin_api_listen}`
  const proxy = `http://${listening.proxy_listen}`
  return [
    '',
    'Troop is running.',
    '',
    `  proxy      ${proxy}`,
    `  admin API  ${admin}`,
    `  upstream   ${echo.url}   (answers what it is asked)`,
    `  datastore  ${datastore}`,
    `  log        ${join(workingDir, 'logs', 'troop.log')}`,
    '',
    'Try, in another terminal:',
    '',
    '  # add an API, and call it at once',
    `  curl -s -d name=echo -d request_path=/echo -d upstream_url=${echo.url} ${admin}/apis; curl -s ${proxy}/echo`,
    '',
    '  # ask callers for a key: the next call is refused',
    `  curl -s -d name=key-auth ${admin}/apis/echo/plugins; curl -si ${proxy}/echo`,
    '',
    '  # give someone a key, and call with it',
    `  curl -s -d username=bob ${admin}/consumers; curl -s -d key=secret ${admin}/consumers/bob/key-auth; curl -s '${proxy}/echo?apikey=secret'`,
    '',
    'Ctrl-C stops everything.',
    '',
  ]
}

/** The usual ports, and others in place of those that are taken. */
async function freeListeners({ env: given, print }: DevOptions): Promise<Record<string, string>> {
  const chosen: Record<string, string> = {}
  for (const [variable, usual] of Object.entries(listeners)) {
    if (given[variable] !== undefined) continue
    const free = await isFree(usual)
    if (!free) print(`  ${usual} is taken: using another port`)
    chosen[variable] = free ? usual : '127.0.0.1:0'
  }
  return chosen
}

function isFree(listener: string): Promise<boolean> {
  const address = parseAddress(listener)
  if (!address) throw new TypeError(`${listener} is no address`)
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ ...address, exclusive: true }, () => server.close(() => resolve(true)))
  })
}
