// pki DIR: the keys of one cluster, made with Go's standard library only, so that no openssl has to be there.
//
//	sa.key, sa.pub        signing key of service account tokens
//	fp-ca.crt             authority of the front proxy (aggregated APIs)
//	fp.crt, fp.key        the API server's client certificate towards aggregated APIs
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// A test cluster lives minutes; a year leaves room for one that is kept.
const lifetime = 365 * 24 * time.Hour

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: pki DIR")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "pki:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	sa, err := key()
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&sa.PublicKey)
	if err != nil {
		return err
	}
	if err := writeKey(dir, "sa.key", sa); err != nil {
		return err
	}
	if err := write(dir, "sa.pub", "PUBLIC KEY", public); err != nil {
		return err
	}
	authorityKey, err := key()
	if err != nil {
		return err
	}
	authority := template("front-proxy-ca", 1)
	authority.IsCA, authority.BasicConstraintsValid = true, true
	authority.KeyUsage = x509.KeyUsageCertSign
	signed, err := x509.CreateCertificate(rand.Reader, authority, authority, &authorityKey.PublicKey, authorityKey)
	if err != nil {
		return err
	}
	if err := write(dir, "fp-ca.crt", "CERTIFICATE", signed); err != nil {
		return err
	}
	clientKey, err := key()
	if err != nil {
		return err
	}
	client := template("front-proxy-client", 2)
	client.KeyUsage = x509.KeyUsageDigitalSignature
	client.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	signed, err = x509.CreateCertificate(rand.Reader, client, authority, &clientKey.PublicKey, authorityKey)
	if err != nil {
		return err
	}
	if err := write(dir, "fp.crt", "CERTIFICATE", signed); err != nil {
		return err
	}
	return writeKey(dir, "fp.key", clientKey)
}

func key() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func template(name string, serial int64) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(lifetime),
	}
}

func writeKey(dir, name string, k *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		return err
	}
	return write(dir, name, "EC PRIVATE KEY", der)
}

func write(dir, name, kind string, der []byte) error {
	return os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
