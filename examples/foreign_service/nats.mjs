// A service for Arvo in another language, over NATS JetStream: it pulls events of its topic, sends the
// answer to the namespace's door, and acknowledges once that is stored. No package is needed.
//   node nats.mjs PORT NAMESPACE [EVENT]   EVENT: JSON of an event to send first, through the door
import { randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { once } from 'node:events';

const [port, namespace, first] = process.argv.slice(2);
const TOPIC = 'com.price.quote', STREAM = `${namespace}_${TOPIC.replaceAll('.', '_2E')}`, INBOX = `_INBOX.${randomUUID()}`;
const socket = connect(Number(port));
let buffer = Buffer.alloc(0);

async function take(length) {
  while (buffer.length < length) buffer = Buffer.concat([buffer, (await once(socket, 'data'))[0]]);
  const found = buffer.subarray(0, length);
  buffer = buffer.subarray(length);
  return found;
}
async function line() {
  while (!buffer.includes('\r\n')) buffer = Buffer.concat([buffer, (await once(socket, 'data'))[0]]);
  return (await take(buffer.indexOf('\r\n') + 2)).toString().trimEnd();
}
async function message() {
  for (;;) {
    const [kind, ...words] = (await line()).split(' ');
    if (kind === 'PING') socket.write('PONG\r\n');
    if (kind === '-ERR') throw new Error(words.join(' '));
    if (kind !== 'MSG' && kind !== 'HMSG') continue;
    const size = Number(words.at(-1)), start = kind === 'HMSG' ? Number(words.at(-2)) : 0;
    const body = (await take(size + 2)).subarray(0, size);
    const reply = words.length > (kind === 'HMSG' ? 4 : 3) ? words[2] : null;
    return { reply, headers: body.subarray(0, start).toString(), text: body.subarray(start).toString() };
  }
}
function send(subject, text) {
  socket.write(`PUB ${subject} ${INBOX} ${Buffer.byteLength(text)}\r\n${text}\r\n`);
  return message();
}
async function store(event) {
  const { text } = await send(`${namespace}.in.0`, event);
  if (!text || JSON.parse(text).error) throw new Error(`the door did not take it: ${text || 'there is none'}`);
}

socket.write(`CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nSUB ${INBOX} 1\r\n`);
if (first) await store(first);
for (;;) {
  const pulled = await send(`$JS.API.CONSUMER.MSG.NEXT.${STREAM}.p0`, '{"batch":1,"expires":30000000000}');
  if (!pulled.text) continue;  // nothing came within 30 s, or the topic is not there yet
  const request = JSON.parse(pulled.text);
  await store(JSON.stringify({
    specversion: '1.0', id: randomUUID(), time: new Date().toISOString(), datacontenttype: request.datacontenttype,
    source: TOPIC, type: 'evt.price.quote.success', dataschema: request.dataschema,
    subject: request.subject, parentid: request.id, to: request.redirectto ?? request.source,
    data: { price: 5 * request.data.items },
  }));
  socket.write(`PUB ${pulled.reply} 4\r\n+ACK\r\n`);
}
