// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// TestFindingNN are findings of a security review (plugins/bulkhead/SECURITY.md).

// annotatedWith parses a pod whose annotation and file have these rules, and plans its
// ACLs, as ADD does.
func annotatedWith(annotation, file string) error {
	quoted, err := json.Marshal(`{"rules": [` + annotation + `]}`)
	if err != nil {
		return err
	}
	c, err := config.Parse([]byte(`{"cniVersion": "1.0.0", "name": "n", "type": "bulkhead", "driver": "l2bridge",
		"acl": {"podAnnotations": true, "rules": [`+file+`]},
		"runtimeConfig": {"io.kubernetes.cri.pod-annotations": {"bulkhead.dev/acl": `+string(quoted)+`}}}`), config.Env{ContainerID: "c1"})
	if err != nil {
		return err
	}
	_, err = ACLs(Facts{Config: c, Network: hns.Network{Driver: hns.L2Bridge}, Addresses: []Address{{Addr: addr("10.1.0.5")}}})
	return err
}

func repeatRule(n int, format string) string {
	var out []string
	for i := range n {
		out = append(out, strings.ReplaceAll(format, "%", fmt.Sprint(i+1)))
	}
	return strings.Join(out, ",")
}

// costs are the most expensive sets that were found, with and without a refusal.
var costs = []struct {
	name, annotation, file string
	refused                bool
}{
	{
		name:       "the same prefix 1170 times, against a long list",
		annotation: `{"direction": "in", "action": "allow", "remote": ["0.0.0.0/0"` + strings.Repeat(`,"0.0.0.0/0"`, 1169) + `]}`,
		file:       `{"direction": "in", "action": "deny", "remote": [` + prefixList(2000) + `]}`,
	},
	{
		name:       "equal rules",
		annotation: repeatRule(300, `{"direction":"in","action":"allow"}`),
		file:       repeatRule(442, `{"direction":"in","action":"allow","protocol":"tcp"}`),
	},
	{
		name:       "a product of rules",
		annotation: repeatRule(180, `{"direction":"in","action":"allow","protocol":"tcp","ports":"%"}`),
		file:       distinct(500),
		refused:    true,
	},
	{
		name:       "a product of addresses",
		annotation: `{"direction":"in","action":"allow","remote":[` + prefixList(900) + `]}`,
		file:       repeatRule(2, `{"direction":"in","action":"deny","protocol":"tcp","ports":"%","remote":[`+prefixList(2000)+`]}`),
		refused:    true,
	},
}

func prefixList(n int) string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf(`"10.%d.%d.1/32"`, i/250, i%250))
	}
	return strings.Join(out, ",")
}

func distinct(n int) string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf(`{"direction":"in","action":"deny","remote":["10.%d.%d.0/24"]}`, i/250, i%250))
	}
	return strings.Join(out, ",")
}

// A pod's owner cannot make ADD slow or large: what costs too much is refused at once.
func TestFinding08CostOfAnnotations(t *testing.T) {
	const most, bytes = time.Second, 50 << 20 // a busy machine takes longer than the 100 ms that it is
	for _, tt := range costs {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		err := annotatedWith(tt.annotation, tt.file)
		runtime.ReadMemStats(&after)
		if took := time.Since(start); took > most {
			t.Errorf("%s: %v", tt.name, took)
		}
		if tt.refused != (err != nil) || err != nil && !strings.Contains(err.Error(), "merge some") {
			t.Errorf("%s: got %v", tt.name, err)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > bytes {
			t.Errorf("%s: %d bytes", tt.name, got)
		}
	}
	if err := annotatedWith(repeatRule(501, "{}"), ""); !errors.Is(err, config.ErrAnnotation) || !strings.Contains(err.Error(), "501 rules; the most is 500") {
		t.Errorf("got %v", err)
	}
}

func BenchmarkFinding08(b *testing.B) {
	for _, tt := range costs {
		b.Run(tt.name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				_ = annotatedWith(tt.annotation, tt.file)
			}
		})
	}
}
