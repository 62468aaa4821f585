// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
)

const (
	controlPrefix             = "hnsemu."
	controlFailed hns.HRESULT = 0x80004005
)

var controlType = reflect.TypeFor[hnsemu.Control]()

func controlProc(verb string) string { return controlPrefix + verb }

func controlVerb(proc string) (verb string, ok bool) {
	return strings.CutPrefix(proc, controlPrefix)
}

// control carries out a method of hnsemu.Control by name. Reflection keeps it
// complete: a method that is added there is served here.
func control(host hnsemu.Control, verb string, args []string) hnsemu.Reply {
	out, err := invoke(host, verb, args)
	if err != nil {
		return hnsemu.Reply{Code: controlFailed, Record: err.Error()}
	}
	return hnsemu.Reply{Out: out}
}

func invoke(host hnsemu.Control, verb string, args []string) (string, error) {
	method, ok := controlType.MethodByName(verb)
	if !ok {
		return "", fmt.Errorf("no such verb: %q", verb)
	}
	in, err := controlArgs(method.Type, args)
	if err != nil {
		return "", fmt.Errorf("%s: %w", verb, err)
	}
	out := reflect.ValueOf(host).MethodByName(verb).Call(in)
	if err, failed := out[len(out)-1].Interface().(error); failed {
		return "", err
	}
	if len(out) == 1 {
		return "null", nil
	}
	text, err := json.Marshal(out[0].Interface())
	return string(text), err
}

func controlArgs(method reflect.Type, args []string) ([]reflect.Value, error) {
	if len(args) != method.NumIn() {
		return nil, fmt.Errorf("%d arguments instead of %d", len(args), method.NumIn())
	}
	in := make([]reflect.Value, len(args))
	for i, arg := range args {
		v := reflect.New(method.In(i))
		dec := json.NewDecoder(strings.NewReader(arg))
		dec.DisallowUnknownFields()
		if err := dec.Decode(v.Interface()); err != nil {
			return nil, fmt.Errorf("argument %d: %w", i+1, err)
		}
		in[i] = v.Elem()
	}
	return in, nil
}
