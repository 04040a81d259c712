# A SCEP client on Ruby's OpenSSL, for the interoperability tests only.
#
# One job as JSON on standard input, its result as JSON on standard output. OpenSSL::PKCS7 writes
# the envelope and reads the reply. It cannot write signed attributes, so the outer SignedData is
# put together from OpenSSL::ASN1.

require "json"
require "net/http"
require "openssl"
require "securerandom"

ASN1 = OpenSSL::ASN1
PKCS7 = OpenSSL::PKCS7
RSA = OpenSSL::PKey::RSA
X509 = OpenSSL::X509

MESSAGE_TYPE, PKI_STATUS, FAIL_INFO, SENDER_NONCE, RECIPIENT_NONCE, TRANSACTION_ID =
  [2, 3, 4, 5, 6, 7].map { |arc| "2.16.840.1.113733.1.9.#{arc}" } # RFC 8894 3.2.1

CIPHERS = { "3DES-CBC" => "des-ede3-cbc" }.freeze

def fetch(url, operation, message = nil)
  uri = URI(url)
  uri.query = URI.encode_www_form({ operation: operation, message: message }.compact)
  body_of(Net::HTTP.get_response(uri))
end

def post(url, message)
  uri = URI("#{url}?operation=PKIOperation")
  body_of(Net::HTTP.post(uri, message, "Content-Type" => "application/x-pki-message"))
end

def body_of(response)
  response.code == "200" ? response.body : abort("HTTP #{response.code}: #{response.body}")
end

def request_for(key, job)
  csr = X509::Request.new
  csr.subject = X509::Name.new([["O", "Ruby"], ["CN", job["common_name"]]])
  csr.public_key = key
  san = X509::ExtensionFactory.new.create_extension("subjectAltName", "DNS:#{job['dns_name']}")
  extensions = ASN1::Set([ASN1::Sequence([san])])
  csr.add_attribute(X509::Attribute.new("extReq", extensions))
  if job["challenge"]
    challenge = ASN1::Set([ASN1::UTF8String(job["challenge"])])
    csr.add_attribute(X509::Attribute.new("challengePassword", challenge))
  end
  csr.sign(key, OpenSSL::Digest.new(job["digest"]))
end

def self_signed(key)
  certificate = X509::Certificate.new
  certificate.version = 2
  certificate.serial = 1
  certificate.subject = certificate.issuer = X509::Name.new([["CN", SecureRandom.uuid]])
  certificate.public_key = key
  certificate.not_before = Time.now - 60
  certificate.not_after = Time.now + 86_400
  certificate.sign(key, OpenSSL::Digest.new("SHA256"))
end

def attribute(oid, value)
  ASN1::Sequence([ASN1::ObjectId(oid), ASN1::Set([value])])
end

def signed_data(content, attributes, certificate, key, digest)
  attributes += [
    attribute("contentType", ASN1::ObjectId("pkcs7-data")),
    attribute("messageDigest", ASN1::OctetString(digest.digest(content)))
  ]
  attributes = attributes.sort_by(&:to_der) # DER of a SET OF
  signature = key.sign(digest, ASN1::Set(attributes).to_der)
  algorithm = ASN1::Sequence([ASN1::ObjectId(digest.name), ASN1::Null(nil)])
  issuer_and_serial = ASN1::Sequence([certificate.issuer, ASN1::Integer(certificate.serial)])
  signer = ASN1::Sequence(
    [ASN1::Integer(1), issuer_and_serial, algorithm, ASN1::Set(attributes, 0, :IMPLICIT),
     ASN1::Sequence([ASN1::ObjectId("rsaEncryption"), ASN1::Null(nil)]),
     ASN1::OctetString(signature)]
  )
  data = content_info("pkcs7-data", ASN1::OctetString(content))
  certificates = ASN1::Set([certificate], 0, :IMPLICIT)
  signed = [ASN1::Integer(1), ASN1::Set([algorithm]), data, certificates, ASN1::Set([signer])]
  content_info("pkcs7-signedData", ASN1::Sequence(signed)).to_der
end

def content_info(type, content)
  ASN1::Sequence([ASN1::ObjectId(type), ASN1::ASN1Data.new([content], 0, :CONTEXT_SPECIFIC)])
end

# The signed attributes of the only signer: OpenSSL::PKCS7 has no way to ask for them.
def attributes_of(message)
  signer, *others = ASN1.decode(message).value[1].value[0].value.last.value
  abort("more than one signer") unless others.empty?
  signer.value[3].value.to_h { |pair| [pair.value[0].oid, pair.value[1].value[0].value] }
end

def enrol(job)
  ca = X509::Certificate.new(fetch(job["url"], "GetCACert"))
  key = job["key"] ? RSA.new(job["key"]) : RSA.new(2048)
  renewal = job["signer_certificate"]
  signer_key = renewal ? RSA.new(job["signer_key"]) : key
  signer = renewal ? X509::Certificate.new(renewal) : self_signed(key)
  cipher = OpenSSL::Cipher.new(CIPHERS.fetch(job["cipher"], job["cipher"]))
  request = request_for(key, job)
  # RFC 8894 3.3.3: a CertPoll names the CA and the subject of the request.
  payload = job["poll"] ? ASN1::Sequence([ca.subject, request.subject]) : request
  message_type = job["poll"] ? "20" : renewal ? "17" : "19"
  envelope = PKCS7.encrypt([ca], payload.to_der, cipher, PKCS7::BINARY)
  transaction_id = OpenSSL::Digest.hexdigest("SHA256", key.public_to_der)
  nonce = SecureRandom.bytes(16)
  attributes = [
    attribute(MESSAGE_TYPE, ASN1::PrintableString(message_type)),
    attribute(TRANSACTION_ID, ASN1::PrintableString(transaction_id)),
    attribute(SENDER_NONCE, ASN1::OctetString(nonce))
  ]
  digest = OpenSSL::Digest.new(job["digest"])
  message = signed_data(envelope.to_der, attributes, signer, signer_key, digest)
  reply = if job["method"] == "POST" then post(job["url"], message)
          else fetch(job["url"], "PKIOperation", [message].pack("m0"))
          end
  read(reply, ca, signer, signer_key, transaction_id, nonce).merge("key" => key.to_pem)
end

def read(reply, ca, signer, signer_key, transaction_id, nonce)
  outer = PKCS7.new(reply)
  # NOINTERN: the signer must be the certificate that GetCACert gave, not one in the reply.
  signed = outer.verify([ca], X509::Store.new, nil, PKCS7::NOINTERN | PKCS7::NOVERIFY)
  abort("signature: #{outer.error_string}") unless signed
  attributes = attributes_of(reply)
  abort("not a CertRep") unless attributes[MESSAGE_TYPE] == "3"
  abort("another transaction") unless attributes[TRANSACTION_ID] == transaction_id
  abort("another nonce") unless attributes[RECIPIENT_NONCE] == nonce
  result = { "pki_status" => attributes[PKI_STATUS], "fail_info" => attributes[FAIL_INFO] }
  return result unless result["pki_status"] == "0"

  degenerate = PKCS7.new(outer.data)
  certificates = PKCS7.new(degenerate.decrypt(signer_key, signer)).certificates
  result.merge("certificates" => certificates.map(&:to_pem))
end

job = JSON.parse($stdin.read)
result = case job["operation"]
         when "capabilities" then { "capabilities" => fetch(job["url"], "GetCACaps").split("\n") }
         when "ca"
           { "certificate" => X509::Certificate.new(fetch(job["url"], "GetCACert")).to_pem }
         when "enrol" then enrol(job)
         end
puts JSON.generate(result)
