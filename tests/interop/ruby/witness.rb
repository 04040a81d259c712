# What Ruby's OpenSSL reads in SCEP messages, for the interoperability tests only.
#
# Several messages as JSON on standard input, each {"message": base64, "key": PEM or null}, so that
# Ruby starts once; what is in each as JSON on standard output. OpenSSL::PKCS7 verifies, opens and
# lists; what it has no accessor for (versions, algorithms, signed attributes) is read by
# OpenSSL::ASN1. Object identifiers are told in dotted form, or by OpenSSL's own name for them.

require "json"
require "openssl"

ASN1 = OpenSSL::ASN1
PKCS7 = OpenSSL::PKCS7
X509 = OpenSSL::X509

CHALLENGE = "1.2.840.113549.1.9.7".freeze
MESSAGE_DIGEST = "1.2.840.113549.1.9.4".freeze
EXTENSIONS = ["1.2.840.113549.1.9.14", "1.3.6.1.4.1.311.2.1.14"].freeze
# By the numbers of their bits (RFC 5280 4.2.1.3).
KEY_USAGES = %w[digitalSignature nonRepudiation keyEncipherment dataEncipherment keyAgreement
                keyCertSign cRLSign encipherOnly decipherOnly].freeze
# RFC 4514, characters beyond ASCII as they are: ASN1_STRFLGS_ESC_MSB is 4.
TEXT = X509::Name::RFC2253 & ~4
CURVES = { "prime256v1" => "ec:p256", "secp384r1" => "ec:p384", "secp521r1" => "ec:p521" }.freeze

# An indefinite length leaves its end among the parts.
def parts(value)
  value.value.reject { |part| part.is_a?(ASN1::EndOfContent) }
end

# A string, put together where BER has it in pieces.
def octets(value)
  value.value.is_a?(Array) ? parts(value).map { |part| octets(part) }.join : value.value
end

def hex(octets)
  octets.unpack1("H*")
end

def name(it)
  it.to_s(TEXT).force_encoding("UTF-8")
end

def time(it)
  it.getutc.strftime("%Y-%m-%d %H:%M:%S UTC")
end

def long_name(identifier)
  identifier.ln || identifier.oid
end

# The name of an algorithm, of RSASSA-PSS with its digest (RFC 4055 3.1: [0], else SHA-1).
def algorithm(sequence)
  identifier, parameters = parts(sequence)
  return long_name(identifier) unless identifier.sn == "RSASSA-PSS"

  digest = parts(parameters).find { |one| one.tag.zero? }
  "#{identifier.sn} with #{digest ? algorithm(parts(digest).first) : 'sha1'}"
end

# How a recipient has the key.
def transport(sequence)
  identifier, parameters = parts(sequence)
  return algorithm(sequence) unless identifier.sn == "RSAES-OAEP"

  "#{identifier.sn} with #{parameters ? 'parameters' : 'default parameters (SHA-1)'}"
end

# By what an X509::Certificate or X509::Request is signed.
def signed_by(one)
  algorithm(parts(ASN1.decode(one.to_der))[1])
end

def key_of(key)
  case key
  when OpenSSL::PKey::RSA then "rsa:#{key.n.num_bits}"
  when OpenSSL::PKey::EC then CURVES.fetch(key.group.curve_name)
  else key.oid.downcase
  end
end

# Octets as they are told: no more than the first 64.
def shown(octets)
  octets.bytesize > 64 ? "#{hex(octets[0, 64])}... (#{octets.bytesize} octets)" : hex(octets)
end

def usages(der)
  bits = ASN1.decode(der).value.unpack1("B*").chars
  KEY_USAGES.zip(bits).filter_map { |usage, bit| usage if bit == "1" }
end

def purposes(der)
  parts(ASN1.decode(der)).map { |purpose| purpose.sn || purpose.oid }
end

# OpenSSL writes the kinds of names in letters of its own.
def alternatives(text)
  text.split(", ").map { |one| one.sub(/\A(DNS|URI|email|IP)( Address)?:/) { "#{$1.downcase}:" } }
end

def constraints(text)
  text.sub("CA:TRUE", "CA").sub("CA:FALSE", "no CA").sub("pathlen:", "path length ").split(", ")
end

# The accessor of X509::Certificate raises where the issuer is named by its own certificate too.
def authority(der)
  identifier, issuer, serial = [0, 1, 2].map { |tag| parts(ASN1.decode(der)).find { |part| part.tag == tag } }
  [
    identifier && hex(identifier.value),
    serial && "serial #{hex(serial.value).sub(/\A0+/, '')}",
    issuer && "of dirname:#{name(X509::Name.new(issuer.value.first.value.first.to_der))}"
  ].compact
end

def says(one)
  case one.oid
  when "keyUsage" then usages(one.value_der)
  when "extendedKeyUsage" then purposes(one.value_der)
  when "basicConstraints" then constraints(one.value)
  when "subjectAltName" then alternatives(one.value)
  when "authorityKeyIdentifier" then authority(one.value_der)
  when "subjectKeyIdentifier" then [one.value.delete(":").downcase]
  else [shown(one.value_der)]
  end
end

def extensions(list)
  list.to_h { |one| [ASN1::ObjectId(one.oid).oid, { critical: one.critical?, says: says(one) }] }
end

# What a certificate, but no extension alone, has accessors for.
def accessed(certificate)
  access = (certificate.ocsp_uris || []).map { |uri| "OCSP uri:#{uri}" }
  access += (certificate.ca_issuer_uris || []).map { |uri| "caIssuers uri:#{uri}" }
  {
    "crlDistributionPoints" => (certificate.crl_uris || []).map { |uri| "uri:#{uri}" },
    "authorityInfoAccess" => access
  }.to_h { |name, says| [ASN1::ObjectId(name).oid, says] }.reject { |_, says| says.empty? }
end

def certificate(one)
  found = extensions(one.extensions)
  accessed(one).each { |oid, says| found[oid][:says] = says }
  {
    version: one.version + 1,
    serial: one.serial.to_s(16).downcase,
    signature: signed_by(one),
    issuer: name(one.issuer),
    validity: "#{time(one.not_before)} to #{time(one.not_after)}",
    subject: name(one.subject),
    key: key_of(one.public_key),
    sha256: OpenSSL::Digest.hexdigest("SHA256", one.to_der),
    extensions: found
  }
end

def request(der)
  csr = X509::Request.new(der)
  attributes = csr.attributes.to_h { |one| [ASN1::ObjectId(one.oid).oid, one.value] }
  wished = attributes.values_at(*EXTENSIONS).compact.flat_map { |set| parts(parts(set).first) }
  challenge = attributes[CHALLENGE]&.then { |set| octets(parts(set).first).force_encoding("UTF-8") }
  {
    version: csr.version,
    subject: name(csr.subject),
    key: key_of(csr.public_key),
    signature: signed_by(csr),
    proven: csr.verify(csr.public_key),
    attributes: attributes.keys,
    challenge: challenge&.length,
    extensions: extensions(wished.map { |one| X509::Extension.new(one.to_der) })
  }
end

def outline(der)
  ASN1.decode(der).then { |top| parts(top).map(&:class) }
end

# What was in an envelope, by its outline.
def inside(der)
  first, second, *rest = outline(der)
  return { certificates: PKCS7.new(der).certificates.map { |one| certificate(one) } } if first == ASN1::ObjectId
  return { request: request(der) } unless rest.empty?

  issuer, other = parts(ASN1.decode(der))
  found = { issuer: name(X509::Name.new(issuer.to_der)) }
  return { **found, serial: other.value.to_s(16).downcase } if second == ASN1::Integer

  { **found, subject: name(X509::Name.new(other.to_der)) }
end

def envelope(der, key)
  sealed = PKCS7.new(der)
  type, wrapped = parts(ASN1.decode(der))
  version, recipients, encrypted, = parts(parts(wrapped).first)
  transports = parts(recipients).map { |one| transport(parts(one)[2]) }
  lengths = parts(recipients).map { |one| octets(parts(one)[3]).bytesize }
  kind, cipher, content = parts(encrypted)
  {
    type: type.oid,
    version: version.value.to_i,
    recipients: sealed.recipients.each_with_index.map do |one, at|
      { serial: one.serial.to_s(16).downcase, issuer: name(one.issuer), transport: transports[at], length: lengths[at] }
    end,
    content: kind.oid,
    cipher: algorithm(cipher),
    length: octets(content).bytesize,
    opened: key && inside(sealed.decrypt(OpenSSL::PKey.read(key)))
  }
end

# OpenSSL::PKCS7 knows no RSASSA-PSS: what is signed are the attributes as a SET (RFC 5652 5.4).
def pss_holds(signed, info, data)
  _, _, hash, attributes, signing, signature = parts(info)
  return false unless algorithm(signing).start_with?("RSASSA-PSS")

  digest = OpenSSL::Digest.new(algorithm(hash))
  pairs = parts(attributes).map { |pair| parts(pair) }
  told = pairs.find { |type, _| type.oid == MESSAGE_DIGEST }.then { |_, values| octets(parts(values).first) }
  signer = signed.certificates.find { |one| one.serial == signed.signers.first.serial }
  set = ASN1::Set(attributes.value).to_der
  told == digest.digest(data) &&
    signer.public_key.verify_pss(digest, octets(signature), set, salt_length: :auto, mgf1_hash: digest)
end

# The signer, as OpenSSL::PKCS7 and as OpenSSL::ASN1 have him.
def signer(signed, sequence)
  one, *others = signed.signers
  abort("more than one signer") unless others.empty?
  version, _, digest, attributes, signing, signature = parts(sequence)
  pairs = parts(attributes).to_h { |pair| parts(pair).then { |type, values| [type.oid, parts(values)] } }
  {
    version: version.value.to_i,
    serial: one.serial.to_s(16).downcase,
    issuer: name(one.issuer),
    digest: algorithm(digest),
    algorithm: algorithm(signing),
    length: octets(signature).bytesize,
    attributes: pairs.transform_values { |values| attribute(values, one) }
  }
end

def attribute(values, signer)
  value, *others = values
  abort("an attribute of several values") unless others.empty?
  case value
  when ASN1::ObjectId then value.oid
  when ASN1::OctetString then hex(octets(value))
  when ASN1::UTCTime, ASN1::GeneralizedTime then time(signer.signed_time)
  when ASN1::Sequence then shown(parts(value).map(&:to_der).join)
  else octets(value)
  end
end

def message(der, key)
  signed = PKCS7.new(der)
  version, _, content, *rest = parts(parts(parts(ASN1.decode(der))[1]).first)
  absent = parts(content).length == 1
  holds = signed.verify([], X509::Store.new, absent ? "" : nil, PKCS7::NOVERIFY | PKCS7::BINARY)
  data = absent ? nil : signed.data
  info = parts(rest.last).first
  holds ||= pss_holds(signed, info, data.to_s)
  {
    version: version.value.to_i,
    holds: holds,
    type: parts(content).first.oid,
    content: data&.bytesize,
    certificates: (signed.certificates || []).map { |one| certificate(one) },
    signer: signer(signed, info),
    envelope: data && data.bytesize > 1 ? envelope(data, key) : nil
  }
end

asked = JSON.parse($stdin.read)
puts JSON.generate(asked.map { |one| message(one["message"].unpack1("m0"), one["key"]) })
