"use strict";

// A SCEP server on node-forge as one gets it by porting the old Ruby sample call by call, for the
// tests only: PKCS7.sign knows no attributes of SCEP, so the reply has contentType, messageDigest and
// signingTime alone, and the envelope is for the certificate that was issued, which nobody has yet.
// Nothing is checked. It prints its address when it is ready.

const http = require("node:http");
const forge = require("node-forge");

const { asn1, pkcs7, pki } = forge;
const { oids } = pki;
const CAPABILITIES = "POSTPKIOperation\nSHA-1\nDES3\n";
const NAME = [{ name: "commonName", value: "forge CA" }];

const der = (value) => asn1.toDer(value).getBytes();
const read = (octets) => asn1.fromDer(octets);

function certificate(publicKey, subject, key, extensions) {
  const made = pki.createCertificate();
  made.publicKey = publicKey;
  made.serialNumber = `01${forge.util.bytesToHex(forge.random.getBytesSync(8))}`;
  made.validity.notBefore = new Date(Date.now() - 60_000);
  made.validity.notAfter = new Date(Date.now() + 86_400_000);
  made.setSubject(subject);
  made.setIssuer(NAME);
  made.setExtensions(extensions);
  made.sign(key, forge.md.sha256.create());
  return made;
}

const keys = pki.rsa.generateKeyPair(2048);
const ca = certificate(keys.publicKey, NAME, keys.privateKey, [
  { name: "basicConstraints", cA: true, critical: true },
  { name: "keyUsage", keyCertSign: true, cRLSign: true, digitalSignature: true, keyEncipherment: true },
]);

// p7sign = PKCS7.new(body); csr = PKCS7.new(p7sign.data).decrypt(key, cert)
function readRequest(body) {
  const content = read(body).value[1].value[0].value[2].value[1].value[0].value;
  const envelope = pkcs7.messageFromAsn1(read(content));
  envelope.decrypt(envelope.recipients[0], keys.privateKey);
  return pki.certificationRequestFromAsn1(read(envelope.content.getBytes()));
}

// degenerate = PKCS7.new; degenerate.certificates = [cert]
function degenerate(leaf) {
  const message = pkcs7.createSignedData();
  message.addCertificate(leaf);
  return der(message.toAsn1());
}

// encrypted = PKCS7.encrypt([cert], degenerate.to_der, 3DES, BINARY)
function encrypt(content, recipient) {
  const envelope = pkcs7.createEnvelopedData();
  envelope.addRecipient(recipient);
  envelope.content = forge.util.createBuffer(content);
  envelope.encrypt(undefined, oids["des-EDE3-CBC"]);
  return der(envelope.toAsn1());
}

// PKCS7.sign(cert, key, encrypted.to_der, [], BINARY)
function sign(content) {
  const message = pkcs7.createSignedData();
  message.content = forge.util.createBuffer(content);
  message.addCertificate(ca);
  message.addSigner({
    key: keys.privateKey,
    certificate: ca,
    digestAlgorithm: oids.sha1,
    authenticatedAttributes: [
      { type: oids.contentType, value: oids.data },
      { type: oids.messageDigest },
      { type: oids.signingTime, value: new Date() },
    ],
  });
  message.sign();
  return der(message.toAsn1());
}

function operate(body) {
  const csr = readRequest(body);
  const leaf = certificate(csr.publicKey, csr.subject.attributes, keys.privateKey, []);
  return sign(encrypt(degenerate(leaf), leaf));
}

const ANSWERS = {
  GetCACaps: () => ["text/plain", CAPABILITIES],
  GetCACert: () => ["application/x-x509-ca-cert", der(pki.certificateToAsn1(ca))],
  PKIOperation: (body) => ["application/x-pki-message", operate(body)],
};

const server = http.createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const answer = ANSWERS[new URL(request.url, "http://server").searchParams.get("operation")];
    if (!answer) return response.writeHead(400, { "Content-Type": "text/plain" }).end("no such operation\n");
    try {
      const [type, text] = answer(Buffer.concat(chunks).toString("binary"));
      const octets = Buffer.from(text, "binary");
      response.writeHead(200, { "Content-Type": type, "Content-Length": octets.length }).end(octets);
    } catch (error) {
      response.writeHead(500, { "Content-Type": "text/plain" }).end(`${error.message}\n`);
    }
  });
});
server.listen(0, "127.0.0.1", () => console.log(`ready: http://127.0.0.1:${server.address().port}/scep`));
