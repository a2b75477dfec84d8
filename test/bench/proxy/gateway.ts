// One of the gateways that npm has, as its first page shows it: `node gateway.ts <package> <where it is installed> <port> <upstream>`. Its own
// process, so that it can have a core of its own.
import { cp, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'

/** What is installed has types of its own, or none. */
// biome-ignore lint/suspicious/noExplicitAny: see above
type Load = (name: string) => any

interface Place {
  readonly load: Load
  readonly dir: string
  readonly port: number
  readonly upstream: string
}

/** By package. */
const starts: Readonly<Record<string, (place: Place) => Promise<unknown>>> = {
  async 'fast-gateway'({ load, port, upstream }) {
    const gateway = load('fast-gateway')({
      routes: [{ prefix: '/plain', prefixRewrite: '/plain', target: upstream }],
    })
    await gateway.start(port, '127.0.0.1')
  },
  async '@fastify/http-proxy'({ load, port, upstream }) {
    const server = load('fastify')()
    server.register(load('@fastify/http-proxy'), { upstream })
    await server.listen({ port, host: '127.0.0.1' })
  },
  async 'express-gateway'({ load, dir, port, upstream }) {
    const config = join(dir, 'express-gateway')
    await cp(join(dir, 'node_modules', 'express-gateway', 'lib', 'config'), config, { recursive: true })
    await writeFile(join(config, 'gateway.config.yml'), expressConfig(port, upstream))
    await load('express-gateway')().load(config).run()
  },
}

function expressConfig(port: number, upstream: string): string {
  return `http: { port: ${port}, hostname: 127.0.0.1 }
apiEndpoints: { all: { host: '*', paths: ['/*'] } }
serviceEndpoints: { up: { url: '${upstream}' } }
policies: [proxy]
pipelines:
  all:
    apiEndpoints: [all]
    policies:
      - proxy:
          - action: { serviceEndpoint: up, changeOrigin: true }
`
}

const [name = '', dir = '', port = '', upstream = ''] = process.argv.slice(2)
const load = createRequire(join(dir, 'package.json'))
await starts[name]?.({ load, dir, port: Number(port), upstream })
