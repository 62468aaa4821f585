// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/binary"
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/acl"
	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// FuzzAnnotation: whatever a pod's annotation says, what passes by it passes by the file
// alone, and ADD is not slow.
func FuzzAnnotation(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"inbound":{"default":"deny"}}`, `{"inbound":{"default":"allow"},"outbound":{"default":"allow"},"allowHost":true}`,
		`{"allowHost":[{"protocol":"tcp","ports":"80"}]}`, `{"inbound":{"default":"deny"},"allowHost":[{"protocol":"udp"},{"protocol":"icmp"}]}`,
		`{"rules":[{"direction":"in","action":"allow","protocol":"tcp","ports":"1-65535","remote":["0.0.0.0/0"]}]}`,
		`{"rules":[{"direction":"out","action":"allow","remote":["169.254.169.254/32","169.254.0.0/16"],"priority":100},{"direction":"in","action":"deny","protocol":"icmp"}]}`,
	} {
		f.Add(seed, uint8(6), uint16(22), uint32(0xa9fea9fe))
		f.Add(seed, uint8(47), uint16(0), uint32(0x0a010203))
	}
	const file = `{"cniVersion": "1.0.0", "name": "n", "type": "bulkhead", "driver": "l2bridge", "acl": {"podAnnotations": true, "inbound": {"default": "deny"},
		"rules": [{"direction": "in", "action": "allow", "protocol": "tcp", "ports": "80,8000-8080", "remote": ["10.0.0.0/8"]},
			{"direction": "out", "action": "deny", "remote": ["169.254.169.254/32"]}, {"direction": "in", "action": "allow", "protocol": "icmp"}]},
		"runtimeConfig": {"io.kubernetes.cri.pod-annotations": `
	compile := func(annotations string) (acl.Set, error) {
		c, err := config.Parse([]byte(file+annotations+"}}"), config.Env{ContainerID: "c1"})
		if err != nil {
			return acl.Set{}, err
		}
		return ACLs(Facts{
			Config: c, Network: hns.Network{Driver: hns.L2Bridge}, Host: []netip.Addr{addr("192.168.1.5")},
			Addresses: []Address{{Addr: addr("10.1.0.5")}},
		})
	}
	alone, err := compile("null")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, annotation string, protocol uint8, port uint16, remote uint32) {
		text, err := json.Marshal(map[string]string{config.Annotation: annotation})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		set, err := compile(string(text))
		if took := time.Since(start); took > time.Second {
			t.Errorf("it took %v", took)
		}
		if err != nil {
			return // the pod does not start
		}
		p := acl.Packet{Protocol: int(protocol), Remote: netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, remote)))}
		if protocol == 6 || protocol == 17 {
			p.Port = port
		}
		for _, p.Direction = range []hns.Direction{hns.In, hns.Out} {
			if with, without := set.Verdict(p), alone.Verdict(p); with.Allowed && !without.Allowed {
				t.Errorf("%+v passes by %s, and not by the file: %s", p, with.Why, without.Why)
			}
		}
	})
}
