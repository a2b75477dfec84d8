import { expect } from 'chai'
import { formatOffset, nextOffset, parseOffset } from '../../../src/store/page.ts'

describe('store/page', () => {
  it('writes the number of the page in base64', () => {
    expect(formatOffset(2)).to.equal('Mg==')
    expect(parseOffset('Mg==')).to.equal(2)
    expect(parseOffset(formatOffset(123_456))).to.equal(123_456)
  })

  it('takes whatever is no offset for the first page', () => {
    for (const text of [undefined, '', '%%%', 'MA==', Buffer.from('-1').toString('base64'), '2', 'MWUz'])
      expect(parseOffset(text), String(text)).to.equal(1)
    expect(parseOffset(Buffer.from('9'.repeat(400)).toString('base64'))).to.equal(1)
  })

  it('has no next page after the last row', () => {
    expect(nextOffset(1, 3, 10)).to.equal('Mg==')
    expect(nextOffset(3, 3, 10)).to.equal(formatOffset(4))
    expect(nextOffset(4, 3, 10)).to.equal(undefined)
    expect(nextOffset(2, 5, 10)).to.equal(undefined)
    expect(nextOffset(1, 5, 0)).to.equal(undefined)
  })
})
