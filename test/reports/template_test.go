// SPDX-License-Identifier: Apache-2.0

package reports_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"text/template"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/test/verbs"
)

// The templates become conflists by containerd's rules (containerd
// internal/cri/server/update_runtime_config.go): the ranges that kubelet tells, with
// commas between, are PodCIDRRanges, the first is PodCIDR, and Routes are the default
// routes of their families.
func TestReport16Templates(t *testing.T) {
	for _, tt := range []struct {
		file, ranges string
		want         []string
	}{
		{"l2bridge", "10.10.3.0/24", []string{"10.10.3.3"}},
		{"l2bridge", "10.10.3.0/24, fd00:10:3::/64", []string{"10.10.3.3", "fd00:10:3::3"}},
		{"overlay", "10.244.3.0/24", []string{"10.244.3.3"}},
	} {
		t.Run(tt.file+" "+tt.ranges, func(t *testing.T) {
			parsed, err := template.ParseFiles("../../plugins/bulkhead/conf/" + tt.file + ".conflist.template")
			if err != nil {
				t.Fatal(err)
			}
			var values struct {
				PodCIDR       string
				PodCIDRRanges []string
				Routes        []string
			}
			for _, r := range strings.Split(tt.ranges, ",") {
				values.PodCIDRRanges = append(values.PodCIDRRanges, strings.TrimSpace(r))
			}
			values.PodCIDR, values.Routes = values.PodCIDRRanges[0], []string{"0.0.0.0/0"}
			var text bytes.Buffer
			if err := parsed.Execute(&text, values); err != nil {
				t.Fatal(err)
			}
			n := inProcess(t)
			dir, err := json.Marshal(n.dataDir)
			if err != nil {
				t.Fatal(err)
			}
			ours, err := config.OurPlugins(bytes.ReplaceAll(text.Bytes(), []byte(`"C:/ProgramData/bulkhead/networks"`), dir))
			if err != nil {
				t.Fatal(err)
			}
			c := verbs.Call{ContainerID: "c1", NetNS: n.Namespace(t), Conf: string(ours[0].Stdin())}
			r := n.add(c)
			n.want("addresses", ips(r), tt.want...)
			for i, ip := range r.IPs {
				if want := ip.Address.IP.Mask(ip.Address.Mask); !ip.Gateway.Equal(next(want)) {
					t.Errorf("gateway %s of %s", ip.Gateway, r.IPs[i].Address.String())
				}
			}
			n.del(c)
			n.want("at the end", n.Left(t))
		})
	}
}

// next returns the address after one.
func next(ip []byte) []byte {
	out := bytes.Clone(ip)
	out[len(out)-1]++
	return out
}
