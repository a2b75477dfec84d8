// Starts one node and ends it in order, which is when Node keeps what it has compiled: those that tests kill keep nothing.
import { NodeProcess } from './node-process.ts'
import { removeServers, testDatabase } from './postgres.ts'

const database = await testDatabase()
const node = await NodeProcess.start(database)
node.signal('SIGTERM')
await node.ended()
await node.remove()
await database.drop()
await removeServers()
