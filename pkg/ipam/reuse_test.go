// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"testing"
)

// reuse has a pod come and go, on the sides in turn, and returns the addresses
// that it got.
func reuse(t *testing.T, sides []allocates, c []byte, times int) []string {
	t.Helper()
	var out []string
	for i := range times {
		r := request{ContainerID: fmt.Sprintf("pod%d", i), IfName: "eth0", Conf: c}
		got, err := sides[i%len(sides)].add(r)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, got[0].String())
		if err := sides[(i+1)%len(sides)].del(r); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// The address that was given last is the last to be given again: switches,
// kube-proxy and clients remember who had it.
func TestTheLeastRecentlyUsedAddressIsGiven(t *testing.T) {
	ours := inProcess{open("host-local")}
	sides := map[string][]allocates{"in process": {ours}}
	if runtime.GOOS != "windows" {
		sides["with the executable"] = []allocates{ours, buildHostLocal(t)}
	}
	for name, s := range sides {
		for _, tt := range []struct {
			name, exclude string
			held          int
			want          []string
		}{
			{name: "a free range", want: []string{"10", "11", "12", "13", "14", "15"}},
			{name: "two held", held: 2, want: []string{"12", "13", "14", "15"}},
			{name: "some excluded", exclude: "10.1.0.12/31", want: []string{"10", "11", "14", "15"}},
			{name: "one held, the end excluded", exclude: "10.1.0.14/31", held: 1, want: []string{"11", "12", "13"}},
		} {
			if tt.exclude != "" && len(s) > 1 {
				continue // The executable does not know exclude.
			}
			t.Run(name+", "+tt.name, func(t *testing.T) {
				dir := tempDir(t)
				c := hostLocalConf(t, dir, `[[{"subnet":"10.1.0.0/24","rangeStart":"10.1.0.10","rangeEnd":"10.1.0.15"}]]`)
				if tt.exclude != "" {
					c = excluding(t, dir, `[[{"subnet":"10.1.0.0/24","rangeStart":"10.1.0.10","rangeEnd":"10.1.0.15"}]]`, fmt.Sprintf("[%q]", tt.exclude))
				}
				for i := range tt.held {
					if _, err := ours.add(request{ContainerID: fmt.Sprintf("held%d", i), IfName: "eth0", Conf: c}); err != nil {
						t.Fatal(err)
					}
				}
				var want []string
				for i := range 3 * len(tt.want) {
					want = append(want, "10.1.0."+tt.want[i%len(tt.want)])
				}
				if got := reuse(t, s, c, len(want)); !slices.Equal(got, want) {
					t.Errorf("got %v\nwant %v", got, want)
				}
			})
		}
	}
}

// Of two addresses that are free it is the one that was given longer ago, in
// whichever order they were freed.
func TestTheAddressGivenLongerAgoIsGivenFirst(t *testing.T) {
	p := inProcess{open("host-local")}
	c := hostLocalConf(t, tempDir(t), `[[{"subnet":"10.1.0.0/24","rangeStart":"10.1.0.10","rangeEnd":"10.1.0.15"}]]`)
	pod := func(i int) request {
		return request{ContainerID: fmt.Sprintf("pod%d", i), IfName: "eth0", Conf: c}
	}
	for i := range 6 {
		if _, err := p.add(pod(i)); err != nil {
			t.Fatal(err)
		}
	}
	for _, i := range []int{4, 1} {
		if err := p.del(pod(i)); err != nil {
			t.Fatal(err)
		}
	}
	var got []netip.Addr
	for i := range 2 {
		a, err := p.add(pod(10 + i))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, a...)
	}
	if want := addrs("10.1.0.11", "10.1.0.14"); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
