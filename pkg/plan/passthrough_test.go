// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// A list of exceptions that is passed through is of one family, and of the pod's.
func TestReport10ExceptionsOfBothFamilies(t *testing.T) {
	const mixed = `{"exceptions": ["10.0.0.0/8", "fd00::/8", "172.16.0.0/12"], "Destinations": ["fd00::7"], "VirtualIP": "10.0.0.9", "Flags": 1}`
	const (
		four = `OutBoundNAT {"Flags":1,"VirtualIP":"10.0.0.9","exceptions":["10.0.0.0/8","172.16.0.0/12"]}`
		six  = `OutBoundNAT {"Destinations":["fd00::7"],"Flags":1,"exceptions":["fd00::/8"]}`
	)
	for _, tt := range []struct {
		name, settings string
		dual           bool
		want           []string
	}{
		{"a pod of both", mixed, true, []string{four, six}},
		{"a pod of one", mixed, false, []string{four}},
		{"a list of one", `{"Exceptions":["fd00::/8"]}`, false, []string{`OutBoundNAT {"Exceptions":["fd00::/8"]}`}},
		{"no list", `{"VirtualIP":"10.0.0.9"}`, true, []string{`OutBoundNAT {"VirtualIP":"10.0.0.9"}`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := facts(hns.L2Bridge)
			if tt.dual {
				dualStack(&f)
			}
			f.Config.ACL = config.ACL{}
			f.Config.Policies = []hns.Opaque{{Type: "OutBoundNAT", Settings: json.RawMessage(tt.settings)}}
			e, err := Endpoint(f)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range e.Policies {
				o := p.(hns.Opaque)
				got = append(got, o.Type+" "+string(o.Settings))
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}
