// An Admin API on a port of its own, and the requests that clients of 0.8 send to it.
import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type AdminOptions, createAdmin } from '../../src/admin/admin.ts'
import { EventStreams } from '../../src/admin/event-streams.ts'
import { systemClock } from '../../src/base/clock.ts'
import { isObject, type Json, type JsonObject } from '../../src/base/json.ts'
import { coreModule, migrateUp } from '../../src/database/migrate.ts'
import { keyAuth } from '../../src/plugins/key-auth/key-auth.ts'
import { definePlugin } from '../../src/plugins/plugin.ts'
import { rateLimiting } from '../../src/plugins/rate-limiting/rate-limiting.ts'
import { PostgresStore } from '../../src/store/postgres-store.ts'
import type { Store } from '../../src/store/store.ts'
import { emptyCluster, loneAdmin } from '../../src/testing/lone-admin.ts'
import { openDatabase } from './log.ts'
import { type TestDatabase, testDatabase } from './postgres.ts'

export interface Reply {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: a test knows what it asked for
  readonly body: any
}

export interface TestAdmin {
  readonly origin: string
  /** What it was made from. */
  readonly options: AdminOptions
  /** Sends a request as it is. */
  fetch(method: string, path: string, init?: RequestInit): Promise<Reply>
  get(path: string): Promise<Reply>
  /** With a JSON body, which fetch refuses to send and clients of 0.8 do send. */
  getWithBody(path: string, body: Json): Promise<Reply>
  delete(path: string): Promise<Reply>
  /** With a JSON body. */
  json(method: string, path: string, body: Json): Promise<Reply>
  /** With a urlencoded body: an object, or the text itself. */
  form(method: string, path: string, fields: Readonly<Record<string, string>> | string): Promise<Reply>
  stop(): Promise<void>
}

export { emptyCluster }

/** The two ways in which the contract wants every body to work. */
export const encodings = ['form', 'json'] as const
export type Encoding = (typeof encodings)[number]

/** `body` in one of them: a form gets dotted names, and lists as text with commas. */
export function sendAs(
  admin: TestAdmin,
  encoding: Encoding,
): (method: string, path: string, body: JsonObject) => Promise<Reply> {
  return (method, path, body) =>
    encoding === 'json' ? admin.json(method, path, body) : admin.form(method, path, flattened(body))
}

/** `body` as the fields of a form. */
export function flattened(body: JsonObject, prefix = ''): Record<string, string> {
  const fields = Object.entries(body).map(([name, value]) =>
    isObject(value) ? flattened(value, `${prefix}${name}.`) : { [prefix + name]: String(value) },
  )
  return Object.assign({}, ...fields)
}

export async function startAdmin(store: Store, options: Partial<AdminOptions> = {}): Promise<TestAdmin> {
  const given = { ...loneAdmin, store, ...options }
  const all = { streams: new EventStreams(given), ...given }
  const app = createAdmin(all)
  const server = createServer(app.callback())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return clientOf(server, all)
}

/** One on a database of its own, with the sample plugins. */
export async function startAdminOnPostgres(
  options: Partial<AdminOptions> = {},
): Promise<TestAdmin & { readonly test: TestDatabase; readonly published: number[] }> {
  const test = await testDatabase()
  const database = openDatabase(test)
  await migrateUp(database.primary, [coreModule, ...(options.plugins ?? [keyAuth])], systemClock)
  const published: number[] = []
  const admin = await startAdmin(new PostgresStore(database), {
    plugins: samplePlugins,
    publish: async ({ stamp }) => {
      published.push(stamp.position)
      return { applied: 1, of: 1, lagging: [] }
    },
    ...options,
  })
  return {
    ...admin,
    test,
    published,
    async stop() {
      await admin.stop()
      await database.stop()
      await test.drop()
    },
  }
}

function clientOf(server: Server, options: AdminOptions): TestAdmin {
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const send = async (method: string, path: string, init: RequestInit = {}): Promise<Reply> => {
    const response = await fetch(origin + path, { ...init, method })
    const text = await response.text()
    return { status: response.status, headers: response.headers, text, body: parse(text) }
  }
  const sendText = (type: string, method: string, path: string, body: string) =>
    send(method, path, { body, headers: { 'content-type': type } })
  return {
    origin,
    options,
    fetch: send,
    get: (path) => send('GET', path),
    getWithBody: (path, body) => getWithBody(origin + path, JSON.stringify(body)),
    delete: (path) => send('DELETE', path),
    json: (method, path, body) => sendText('application/json', method, path, JSON.stringify(body)),
    form: (method, path, fields) =>
      sendText(
        'application/x-www-form-urlencoded',
        method,
        path,
        typeof fields === 'string' ? fields : new URLSearchParams(fields).toString(),
      ),
    async stop() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

async function getWithBody(url: string, body: string): Promise<Reply> {
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
  const sent = request(url, { method: 'GET', headers, agent: false }).end(body)
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  const text = (await response.setEncoding('utf8').toArray()).join('')
  return { status: response.statusCode ?? 0, headers: new Headers(), text, body: parse(text) }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Plugins of every shape that configurations come in; they do nothing. */
const idle = { phases: {} }

export const samplePlugins = [
  keyAuth,
  rateLimiting,
  definePlugin({
    ...idle,
    name: 'ip-restriction',
    config: { whitelist: { type: 'array' }, blacklist: { type: 'array' } },
  }),
  definePlugin({
    ...idle,
    name: 'request-transformer',
    config: {
      add: {
        type: 'table',
        fields: { headers: { type: 'array', default: [] }, form: { type: 'array', default: [] } },
      },
    },
  }),
  definePlugin({
    ...idle,
    name: 'response-ratelimiting',
    config: {
      limits: {
        type: 'table',
        required: true,
        each: { second: { type: 'number' }, minute: { type: 'number' } },
      },
    },
  }),
  definePlugin({
    ...idle,
    name: 'http-log',
    config: {
      http_endpoint: { type: 'url', required: true },
      method: { type: 'string', default: 'POST', enum: ['POST', 'PUT', 'PATCH'] },
    },
  }),
]
