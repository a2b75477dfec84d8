// Bodies that no memory holds, through a whole node: what it keeps of them, and what is left when they break off.
import { once } from 'node:events'
import http, { type IncomingMessage } from 'node:http'
import net, { type AddressInfo } from 'node:net'
import type { Writable } from 'node:stream'
import { expect } from 'chai'
import { systemClock } from '../../src/base/clock.ts'
import { until } from '../support/log.ts'
import { NodeProcess } from '../support/node-process.ts'
import { type TestDatabase, testDatabase } from '../support/postgres.ts'
import { usageOf } from '../support/usage.ts'

const chunk = Buffer.alloc(1024 * 1024, 'troop')
const largeBytes = 2 * 1024 * 1024 * 1024

/** Beyond what a node takes after a first body, for one that is hundreds of times as large. */
const growthMax = 64 * 1024 * 1024

describe('a body of 2 GB through a node', function () {
  this.timeout(120_000)
  let database: TestDatabase
  let upstream: http.Server
  let node: NodeProcess
  /** Requests that the upstream has in hand, and the bytes that it has read of them. */
  const open = new Set<IncomingMessage>()
  let read = 0

  before(async function () {
    if (process.platform !== 'linux') this.skip()
    database = await testDatabase()
    upstream = http.createServer((request, response) => {
      open.add(request)
      response.on('close', () => open.delete(request)).on('error', () => {})
      request
        .on('error', () => {})
        .on('data', (data: Buffer) => {
          read += data.length
        })
      const size = Number(request.headers['x-size'])
      if (request.method === 'GET') fill(response.writeHead(200, { 'content-length': size }), size)
      else request.on('end', () => response.end())
    })
    upstream.listen(0, '127.0.0.1')
    await once(upstream, 'listening')
    node = await NodeProcess.start(database)
    const { port } = upstream.address() as AddressInfo
    await node.ask('POST', '/apis', {
      name: 'a',
      request_path: '/',
      upstream_url: `http://127.0.0.1:${port}`,
    })
    await download(100 * chunk.length)
    await upload(100 * chunk.length)
  })

  after(async () => {
    await node?.remove()
    upstream?.closeAllConnections()
    upstream?.close()
    await database?.drop()
  })

  /** Writes so many bytes, no faster than they are taken. */
  function fill(to: Writable, size: number): void {
    let left = size
    const more = () => {
      while (left > 0 && !to.destroyed) {
        left -= chunk.length
        if (!to.write(chunk)) return
      }
      if (!to.destroyed) to.off('drain', more).end()
    }
    to.on('drain', more)
    more()
  }

  /** Resolves with the bytes that came after the head. Read into one piece of memory: it is the node that is measured. */
  async function download(size: number): Promise<number> {
    let bytes = 0
    const onread = {
      buffer: Buffer.alloc(chunk.length),
      callback: (length: number, into: Uint8Array) => {
        const head = bytes === 0 ? Buffer.from(into.buffer, 0, length).indexOf('\r\n\r\n') + 4 : 0
        bytes += length - head
        return true
      },
    }
    const socket = net.connect({ host: '127.0.0.1', port: Number(new URL(node.proxy).port), onread })
    socket.write(`GET / HTTP/1.1\r\nHost: test\r\nX-Size: ${size}\r\nConnection: close\r\n\r\n`)
    await once(socket, 'close')
    return bytes
  }

  /** Resolves with the bytes that the upstream read. */
  async function upload(size: number): Promise<number> {
    read = 0
    const request = http.request(node.proxy, { method: 'POST', agent: false })
    const answered = once(request, 'response')
    fill(request, size)
    const [response] = (await answered) as [IncomingMessage]
    response.resume()
    await once(response, 'end')
    return read
  }

  /** The largest resident size that was seen while `work` went on, above the one before it. */
  async function growthDuring(work: Promise<unknown>): Promise<number> {
    const before = await residentBytes()
    let largest = before
    let done = false
    const ended = work.finally(() => {
      done = true
    })
    while (!done) {
      largest = Math.max(largest, await residentBytes())
      await systemClock.sleep(20)
    }
    await ended
    return largest - before
  }

  const residentBytes = async () => (await usageOf(node.pid)).residentBytes

  it('downloaded: arrives whole, and the node grows by less than 64 MB', async () => {
    const downloading = download(largeBytes)
    expect(await growthDuring(downloading)).below(growthMax)
    expect(await downloading).equal(largeBytes)
  })

  it('uploaded in chunks: arrives whole, and the node grows by less than 64 MB', async () => {
    const uploading = upload(largeBytes)
    expect(await growthDuring(uploading)).below(growthMax)
    expect(await uploading).equal(largeBytes)
  })

  it('that many clients break off, either way: the upstream hears of each, and the node keeps nothing', async () => {
    const breakingOff = async () => {
      for (let i = 0; i < 50; i++) {
        const method = i % 2 ? 'POST' : 'GET'
        const request = http.request(node.proxy, { method, agent: false, headers: { 'x-size': largeBytes } })
        request.on('error', () => {})
        if (method === 'GET') {
          const [response] = (await once(request.end(), 'response')) as [IncomingMessage]
          response.on('error', () => {})
          await once(response, 'readable')
        } else {
          read = 0
          fill(request, largeBytes)
          await until(() => read > 0)
        }
        request.destroy()
        await until(() => open.size === 0)
      }
    }
    expect(await growthDuring(breakingOff())).below(growthMax)
    const { body } = await node.ask('GET', '/status')
    expect(body.server.connections_writing).equal(0)
  })
})
