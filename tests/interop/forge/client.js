"use strict";

// A SCEP client on node-forge, for the interoperability tests only.
//
// One job as JSON on standard input, its result as JSON on standard output. forge writes the
// envelope and reads the reply's. It neither writes signed attributes of SCEP nor verifies a
// SignedData, so that layer is put together from forge.asn1.

const fs = require("node:fs");
const forge = require("node-forge");

const { asn1, pki } = forge;
const { UNIVERSAL, CONTEXT_SPECIFIC } = asn1.Class;
const { INTEGER, NULL, OID, OCTETSTRING, PRINTABLESTRING, SEQUENCE, SET } = asn1.Type;

const [MESSAGE_TYPE, PKI_STATUS, FAIL_INFO, SENDER_NONCE, RECIPIENT_NONCE, TRANSACTION_ID] =
  [2, 3, 4, 5, 6, 7].map((arc) => `2.16.840.1.113733.1.9.${arc}`); // RFC 8894 3.2.1

const CIPHERS = {
  "3DES-CBC": pki.oids["des-EDE3-CBC"],
  "AES-128-CBC": pki.oids["aes128-CBC"],
  "AES-192-CBC": pki.oids["aes192-CBC"],
  "AES-256-CBC": pki.oids["aes256-CBC"],
};
const DIGESTS = {
  MD5: () => forge.md.md5.create(),
  "SHA-1": () => forge.md.sha1.create(),
  "SHA-256": () => forge.md.sha256.create(),
  "SHA-384": () => forge.md.sha384.create(),
  "SHA-512": () => forge.md.sha512.create(),
};
const digestOid = (name) => pki.oids[name.toLowerCase().replace("-", "")];

const primitive = (type, value) => asn1.create(UNIVERSAL, type, false, value);
const constructed = (type, ...values) => asn1.create(UNIVERSAL, type, true, values);
const tagged = (number, values) => asn1.create(CONTEXT_SPECIFIC, number, true, values);
const oid = (dotted) => primitive(OID, asn1.oidToDer(dotted).getBytes());
const integer = (value) => primitive(INTEGER, asn1.integerToDer(value).getBytes());
const algorithm = (dotted) => constructed(SEQUENCE, oid(dotted), primitive(NULL, ""));
const contentInfo = (type, content) => constructed(SEQUENCE, oid(type), tagged(0, [content]));
const attribute = (type, value) => constructed(SEQUENCE, oid(type), constructed(SET, value));
const der = (value) => asn1.toDer(value).getBytes();

async function fetchBody(url, options) {
  const response = await fetch(url, options);
  const body = Buffer.from(await response.arrayBuffer());
  if (response.status !== 200) throw new Error(`HTTP ${response.status}: ${body}`);
  return body;
}

// The certificate that messages are encrypted to and that signs the replies: the CA's own, or in a
// bundle the first, a registration authority's. The others may have keys that forge cannot read.
async function getCaCertificate(url) {
  const body = asn1.fromDer((await fetchBody(`${url}?operation=GetCACert`)).toString("binary"));
  if (body.value[0].type !== OID) return pki.certificateFromAsn1(body);
  const [, , , certificates] = body.value[1].value[0].value;
  return pki.certificateFromAsn1(certificates.value[0]);
}

function pkiOperation(url, method, message) {
  const address = `${url}?operation=PKIOperation`;
  if (method === "GET") {
    return fetchBody(`${address}&message=${encodeURIComponent(forge.util.encode64(message))}`);
  }
  const headers = { "Content-Type": "application/x-pki-message" };
  return fetchBody(address, { method, headers, body: Buffer.from(message, "binary") });
}

function certificationRequest(keys, job) {
  const csr = pki.createCertificationRequest();
  csr.publicKey = keys.publicKey;
  csr.setSubject([
    { name: "organizationName", value: "forge" },
    { name: "commonName", value: job.common_name },
  ]);
  const san = { name: "subjectAltName", altNames: [{ type: 2, value: job.dns_name }] };
  const attributes = [{ name: "extensionRequest", extensions: [san] }];
  if (job.challenge) attributes.push({ name: "challengePassword", value: job.challenge });
  csr.setAttributes(attributes);
  csr.sign(keys.privateKey, DIGESTS[job.digest]());
  return pki.certificationRequestToAsn1(csr);
}

function selfSigned(keys) {
  const certificate = pki.createCertificate();
  const name = [{ name: "commonName", value: "forge signer" }];
  certificate.serialNumber = `01${forge.util.bytesToHex(forge.random.getBytesSync(8))}`;
  certificate.validity.notBefore = new Date(Date.now() - 60_000);
  certificate.validity.notAfter = new Date(Date.now() + 86_400_000);
  certificate.publicKey = keys.publicKey;
  certificate.setSubject(name);
  certificate.setIssuer(name);
  certificate.sign(keys.privateKey, forge.md.sha256.create());
  return certificate;
}

function envelop(content, certificate, cipher) {
  const envelope = forge.pkcs7.createEnvelopedData();
  envelope.addRecipient(certificate);
  envelope.content = forge.util.createBuffer(der(content));
  envelope.encrypt(undefined, CIPHERS[cipher]);
  return der(envelope.toAsn1());
}

function sign(content, attributes, signer, digest) {
  const messageDigest = DIGESTS[digest]().update(content).digest().getBytes();
  const signed = [
    attribute(pki.oids.contentType, oid(pki.oids.data)),
    attribute(pki.oids.messageDigest, primitive(OCTETSTRING, messageDigest)),
    ...attributes,
  ];
  // Left in this order, as forge leaves its own: DER would sort them, and not every signer does.
  const toSign = DIGESTS[digest]().update(der(constructed(SET, ...signed)));
  const [issuer, serial] = [signer.certificate.issuer, signer.certificate.serialNumber];
  const signerInfo = constructed(
    SEQUENCE,
    integer(1),
    constructed(
      SEQUENCE,
      pki.distinguishedNameToAsn1(issuer),
      primitive(INTEGER, forge.util.hexToBytes(serial)),
    ),
    algorithm(digestOid(digest)),
    tagged(0, signed),
    algorithm(pki.oids.rsaEncryption),
    primitive(OCTETSTRING, signer.key.sign(toSign)),
  );
  const signedData = constructed(
    SEQUENCE,
    integer(1),
    constructed(SET, algorithm(digestOid(digest))),
    contentInfo(pki.oids.data, primitive(OCTETSTRING, content)),
    tagged(0, [pki.certificateToAsn1(signer.certificate)]),
    constructed(SET, signerInfo),
  );
  return der(contentInfo(pki.oids.signedData, signedData));
}

function verify(reply, ca) {
  const signedData = asn1.fromDer(reply.toString("binary")).value[1].value[0].value;
  const content = signedData[2].value[1].value[0].value;
  const [signer, ...others] = signedData.at(-1).value;
  if (others.length) throw new Error("more than one signer");
  const [, , digestAlgorithm, attributes, , signature] = signer.value;
  const digest = Object.keys(DIGESTS).find(
    (name) => digestOid(name) === asn1.derToOid(digestAlgorithm.value[0].value),
  );
  const signed = DIGESTS[digest]().update(der(constructed(SET, ...attributes.value)));
  if (!ca.publicKey.verify(signed.digest().getBytes(), signature.value)) {
    throw new Error("bad signature");
  }
  const values = {};
  for (const { value: [type, set] } of attributes.value) {
    values[asn1.derToOid(type.value)] = set.value[0].value;
  }
  const messageDigest = DIGESTS[digest]().update(content).digest().getBytes();
  if (values[pki.oids.messageDigest] !== messageDigest) throw new Error("bad messageDigest");
  return { content, values };
}

function decrypt(content, signer) {
  const envelope = forge.pkcs7.messageFromAsn1(asn1.fromDer(content));
  envelope.decrypt(envelope.findRecipient(signer.certificate), signer.key);
  const degenerate = asn1.fromDer(envelope.content.getBytes());
  if (!forge.pkcs7.messageFromAsn1(degenerate).certificates.length) throw new Error("nothing issued");
  // As they came: certificateToPem would add the NULL that an EC CA's signature must not have.
  const [, , , certificates] = degenerate.value[1].value[0].value;
  return certificates.value.map((one) => forge.pem.encode({ type: "CERTIFICATE", body: der(one) }));
}

async function enrol(job) {
  const ca = await getCaCertificate(job.url);
  const privateKey = job.key
    ? pki.privateKeyFromPem(job.key)
    : pki.rsa.generateKeyPair(2048).privateKey;
  const keys = { privateKey, publicKey: pki.setRsaPublicKey(privateKey.n, privateKey.e) };
  const signer = job.signer_certificate
    ? {
        key: pki.privateKeyFromPem(job.signer_key),
        certificate: pki.certificateFromPem(job.signer_certificate),
      }
    : { key: privateKey, certificate: selfSigned(keys) };
  const transactionId = pki.getPublicKeyFingerprint(keys.publicKey, { encoding: "hex" });
  const nonce = forge.random.getBytesSync(16);
  const request = certificationRequest(keys, job);
  // RFC 8894 3.3.3: a CertPoll names the CA and the subject of the request.
  const subject = request.value[0].value[1];
  const payload = job.poll
    ? constructed(SEQUENCE, pki.distinguishedNameToAsn1(ca.subject), subject)
    : request;
  const messageType = job.poll ? "20" : job.signer_certificate ? "17" : "19";
  const attributes = [
    attribute(MESSAGE_TYPE, primitive(PRINTABLESTRING, messageType)),
    attribute(TRANSACTION_ID, primitive(PRINTABLESTRING, transactionId)),
    attribute(SENDER_NONCE, primitive(OCTETSTRING, nonce)),
  ];
  const envelope = envelop(payload, ca, job.cipher);
  const message = sign(envelope, attributes, signer, job.digest);
  const reply = await pkiOperation(job.url, job.method, message);
  const { content, values } = verify(reply, ca);
  if (values[MESSAGE_TYPE] !== "3") throw new Error("not a CertRep");
  if (values[TRANSACTION_ID] !== transactionId) throw new Error("another transaction");
  if (values[RECIPIENT_NONCE] !== nonce) throw new Error("another nonce");
  return {
    pki_status: values[PKI_STATUS],
    fail_info: values[FAIL_INFO] ?? null,
    certificates: values[PKI_STATUS] === "0" ? decrypt(content, signer) : [],
    key: pki.privateKeyToPem(privateKey),
  };
}

const OPERATIONS = {
  capabilities: async ({ url }) => ({
    capabilities: (await fetchBody(`${url}?operation=GetCACaps`)).toString().trimEnd().split("\n"),
  }),
  ca: async ({ url }) => ({ certificate: pki.certificateToPem(await getCaCertificate(url)) }),
  enrol,
};

const job = JSON.parse(fs.readFileSync(0, "utf8"));
OPERATIONS[job.operation](job).then((result) => console.log(JSON.stringify(result)));
