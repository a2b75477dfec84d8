// What is said to an upstream before the body, and what is never said.
import { Readable } from 'node:stream'
import { expect } from 'chai'
import { Headers } from '../../../src/proxy/headers.ts'
import { requestHead, trailerText } from '../../../src/proxy/outbound/request-head.ts'

type Parts = Partial<Omit<Parameters<typeof requestHead>[0], 'headers'>> & {
  readonly headers?: readonly string[]
}

const body = Readable.from([])

function headOf({ headers = ['Host', 'a'], ...parts }: Parts) {
  return requestHead({
    ...{ method: 'GET', target: '/', body: null, upgrade: null, ...parts },
    headers: Headers.from(headers),
  })
}

const linesOf = (parts: Parts) => headOf(parts).text.split('\r\n')

describe('the head of a request to an upstream', () => {
  it('is the request line and the fields in their order, byte for byte', () => {
    const { text, length } = headOf({
      target: '/\xe9?a%2Fb',
      headers: ['Host', 'a', 'x-B', '', 'x-b', 'c\xff'],
    })
    expect(text).equal('GET /\xe9?a%2Fb HTTP/1.1\r\nHost: a\r\nx-B: \r\nx-b: c\xff\r\n\r\n')
    expect(length).equal(undefined)
  })

  it('announces a body by its length if there is one, else in chunks, and never both', () => {
    expect(linesOf({ method: 'POST', body })).include('Transfer-Encoding: chunked')
    const counted = {
      method: 'POST',
      body,
      headers: ['Content-Length', '007', 'Transfer-Encoding', 'chunked', 'content-length', '8'],
    }
    expect(linesOf(counted)).deep.equal(['POST / HTTP/1.1', 'Content-Length: 7', '', ''])
    expect(headOf(counted).length).equal(7)
  })

  it('says that there is no body where one is usual, and nothing where it is not', () => {
    expect(linesOf({ method: 'POST' })).include('Content-Length: 0')
    for (const method of ['GET', 'HEAD', 'DELETE', 'OPTIONS']) expect(linesOf({ method })).length(4)
  })

  it('announces trailers only where chunks come before them', () => {
    const headers = ['Trailer', 'X-Sum']
    expect(linesOf({ headers, body })).include('Trailer: X-Sum')
    expect(linesOf({ headers })).not.include('Trailer: X-Sum')
    expect(linesOf({ headers: [...headers, 'Content-Length', '1'], body })).not.include('Trailer: X-Sum')
  })

  it('says itself how the connection goes on', () => {
    const headers = ['Connection', 'close', 'Upgrade', 'h2c', 'Keep-Alive', 'x', 'A', 'b']
    expect(linesOf({ headers })).deep.equal(['GET / HTTP/1.1', 'A: b', '', ''])
    expect(linesOf({ headers, upgrade: 'websocket' }).slice(2)).deep.equal([
      ...['Connection: Upgrade', 'Upgrade: websocket', '', ''],
    ])
  })

  const wrong: Record<string, Parts> = {
    'a value with a line of its own': { headers: ['A', 'b\r\nC: d'] },
    'a value with LF': { headers: ['A', 'b\n'] },
    'a value with CR': { headers: ['A', 'b\r'] },
    'a value with NUL': { headers: ['A', '\0'] },
    'a value that is no bytes': { headers: ['A', '\u0100'] },
    'a name with a colon': { headers: ['A: b\r\nC', 'd'] },
    'a name with a blank': { headers: ['A ', 'b'] },
    'no name': { headers: ['', 'b'] },
    'a target with a blank': { target: '/a b' },
    'a target with a line of its own': { target: '/ HTTP/1.1\r\nA: b\r\nC: d' },
    'no target': { target: '' },
    'a method with a blank': { method: 'GET /x' },
    'a protocol with a line of its own': { upgrade: 'x\r\nA: b' },
    'a length that is none': { headers: ['Content-Length', '-1'], body },
    'a length without a body': { headers: ['Content-Length', '1'] },
  }
  for (const [what, parts] of Object.entries(wrong)) {
    it(`cannot be: ${what}`, () => {
      expect(() => headOf(parts)).throw(TypeError)
    })
  }

  it('names the field that can’t stand in it, and not its value', () => {
    const head = () => headOf({ headers: ['Host', 'a', 'X-Key', 'secret\n'] })
    expect(head).throw(TypeError, /^Invalid character in header content \["X-Key"\]$/)
  })

  it('trailers are fields, or none at all', () => {
    expect(trailerText(['A', 'b', 'C', ''])).equal('A: b\r\nC: \r\n')
    expect(trailerText(['A', 'b\r\nC: d'])).equal('')
    expect(trailerText([])).equal('')
  })
})
