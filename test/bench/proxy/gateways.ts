// The gateways that npm has. They are no dependencies of this package: the first run that needs them installs them into the cache.
import { execFile } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePort } from '../../support/free-port.ts'
import { root } from '../../support/sources.ts'
import { end, type Rival, startProgram } from './rivals.ts'

export const gateways = ['fast-gateway', '@fastify/http-proxy', 'express-gateway'] as const
export type Gateway = (typeof gateways)[number]

const packages = JSON.stringify({
  private: true,
  dependencies: {
    'fast-gateway': '5.0.1',
    fastify: '5.x',
    '@fastify/http-proxy': '11.6.3',
    'express-gateway': '1.16.11',
  },
  // The version that it asks for is not to be had everywhere.
  overrides: { 'fast-gateway': { 'fast-proxy-lite': '^1.1.2' } },
})

export async function startGateway(gateway: Gateway, upstream: string): Promise<Rival> {
  const dir = await installGateways()
  const port = await freePort()
  const script = join(import.meta.dirname, 'gateway.ts')
  const args = [script, gateway, dir, String(port), upstream]
  const child = await startProgram(process.execPath, args, port, {
    NODE_ENV: 'production',
    LOG_LEVEL: 'error',
  })
  return { pid: child.pid as number, port, tlsPort: undefined, stop: () => end(child) }
}

/** Resolves with the directory. It takes a minute the first time. */
async function installGateways(): Promise<string> {
  const dir = join(root, 'node_modules', '.cache', 'troop-bench-gateways')
  const installed = join(dir, 'installed.json')
  if ((await readFile(installed, 'utf8').catch(() => '')) === packages) return dir
  await mkdir(dir, { recursive: true })
  await writeFile(join(dir, 'package.json'), packages)
  const options = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  await promisify(execFile)('npm', ['install', ...options], { cwd: dir })
  await writeFile(installed, packages)
  return dir
}
