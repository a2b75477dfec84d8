import { expect } from 'chai'
import { AnswerReader } from '../../../src/plugins/http-log/answer-reader.ts'

const ok = 'HTTP/1.1 200 OK\r\n'

/** What is left of it after all that a server said, however that came. */
function read(answer: string, pieces: readonly string[] = [answer]): AnswerReader {
  const reader = new AnswerReader()
  for (const piece of pieces) reader.take(piece)
  return reader
}

describe('an answer to a record', () => {
  const whole: [what: string, answer: string, isKept: boolean][] = [
    ['without a body', `${ok}Content-Length: 0\r\n\r\n`, true],
    ['with one', `${ok}content-length:3\r\nX: y\r\n\r\nyes`, true],
    ['that has none by its status', 'HTTP/1.1 204 No Content\r\n\r\n', true],
    ['after one that comes before it', `HTTP/1.1 100 Continue\r\n\r\n${ok}Content-Length: 1\r\n\r\n.`, true],
    [
      'in chunks that look like an end',
      `${ok}Transfer-Encoding: chunked\r\n\r\n7\r\n\r\n0\r\n\r\n\r\na;x=y\r\n0123456789\r\n0\r\nX: y\r\n\r\n`,
      true,
    ],
    ['that is the last', `${ok}Connection: keep-alive, close\r\nContent-Length: 1\r\n\r\n.`, false],
    ['of HTTP/1.0', 'HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n.', false],
  ]
  for (const [what, answer, isKept] of whole) {
    it(`${what} ends where it ends, wherever it is cut`, () => {
      for (let at = 0; at < answer.length; at++) {
        const part = read(answer, [answer.slice(0, at)])
        expect(part.isWhole, answer.slice(0, at)).equal(false)
        part.take(answer.slice(at))
        expect([part.isAnswered, part.isWhole, part.isKept]).deep.equal([true, true, isKept])
      }
      expect(read(answer, [...answer]).isKept).equal(isKept)
      expect(read(`${answer}x`).isKept, 'with more behind it').equal(false)
    })
  }

  it('follows another one', () => {
    const reader = new AnswerReader()
    for (const [, answer, isKept] of whole.filter(([, , isKept]) => isKept)) {
      reader.reset()
      reader.take(answer)
      expect(reader.isKept).equal(isKept)
    }
  })

  it('without a length is there, and never whole', () => {
    const reader = read(`${ok}\r\n`)
    for (let i = 0; i < 10; i++) reader.take('x'.repeat(60_000))
    expect([reader.isAnswered, reader.isWhole]).deep.equal([true, false])
  })

  it('is no mail server, no size that is none, and no head without an end', () => {
    const chunked = `${ok}Transfer-Encoding: chunked\r\n\r\n`
    for (const text of ['220 mail.test ESMTP\r\n', '\r\n\r\n', 'HTTP/2 200\r\n\r\n', `${chunked}x\r\n`])
      expect(() => read(text), text).throw('does not speak HTTP')
    for (const text of [ok + 'x: y\r\n'.repeat(20_000), `${chunked}${'1'.repeat(70_000)}`])
      expect(() => read(text)).throw('more than fits')
  })
})
