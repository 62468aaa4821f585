// SPDX-License-Identifier: Apache-2.0

package hns

import (
	"crypto/rand"
	"fmt"
	"net"
	"strings"
)

// ParseGUID returns s in lower case and without braces. HNS writes ids in
// either case; everything inside Bulkhead uses this form. It is an error when s
// is not a GUID.
func ParseGUID(s string) (string, error) {
	t := s
	if strings.HasPrefix(t, "{") && strings.HasSuffix(t, "}") {
		t = t[1 : len(t)-1]
	}
	t = strings.ToLower(t)
	if len(t) != 36 {
		return "", fmt.Errorf("%q is not a GUID", s)
	}
	for i, c := range []byte(t) {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return "", fmt.Errorf("%q is not a GUID", s)
			}
		} else if !strings.ContainsRune("0123456789abcdef", rune(c)) {
			return "", fmt.Errorf("%q is not a GUID", s)
		}
	}
	return t, nil
}

// NewGUID returns a random GUID (RFC 9562, version 4).
func NewGUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, since Go 1.24
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// ZeroGUID is what HNS writes where no object is meant, for instance as the
// namespace of an endpoint that is in none.
const ZeroGUID = "00000000-0000-0000-0000-000000000000"

func parseMAC(s string) (MAC, error) {
	m, err := net.ParseMAC(s)
	if err != nil || len(m) != 6 {
		return "", fmt.Errorf("%q is not a MAC address of six bytes", s)
	}
	return MAC(m.String()), nil
}
