import { expect } from 'chai'
import { endsConnection, refusesStatement } from '../../../src/database/failure.ts'

const says = (severity: string, code: string) =>
  Object.assign(new Error('from the server'), { severity, code })

describe('what the server says', () => {
  it('keeps a connection whose statement was refused, in whatever language', () => {
    for (const severity of ['ERROR', 'FEHLER', 'ERREUR', 'ОШИБКА', '错误'])
      for (const code of ['23505', '42601', '40001', '57014'])
        expect(endsConnection(says(severity, code)), `${severity} ${code}`).to.equal(false)
  })

  it('ends a connection by which it said that the session is over, in whatever language', () => {
    const codes = ['57P01', '57P03', '08P01', '58030', '53100', 'XX000', '25P03']
    for (const severity of ['FATAL', 'PANIC', 'PANIK', '致命错误'])
      for (const code of codes)
        expect(endsConnection(says(severity, code)), `${severity} ${code}`).to.equal(true)
    expect(endsConnection(new Error('socket hang up'))).to.equal(true)
  })

  it('ends a connection to a primary that was demoted, though only the statement was refused', () => {
    expect(refusesStatement(says('ERROR', '25006'))).to.equal(true)
    expect(endsConnection(says('ERROR', '25006'))).to.equal(true)
  })

  it('is a refused statement for certain if it says so itself, even with a code of trouble', () => {
    expect(refusesStatement(says('ERROR', '53100'))).to.equal(true)
    expect(refusesStatement(says('FEHLER', '53100'))).to.equal(false)
  })
})
