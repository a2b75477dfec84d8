// A process of a crew: runs the blocks that it is sent, one after the other, until nobody sends any.
import { type Reply, usedHere } from './crew.ts'
import { type Block, runBlock } from './tally.ts'

process.on('message', async (block: Block) => {
  const sum = await runBlock(block)
  process.send?.({ sum, used: usedHere() } satisfies Reply)
})
