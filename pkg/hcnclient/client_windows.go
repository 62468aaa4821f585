// SPDX-License-Identifier: Apache-2.0

package hcnclient

import (
	"bytes"
	"context"
	"encoding/json"
	"io"

	"github.com/Microsoft/hcsshim/hcn"
	"github.com/sirupsen/logrus"

	"github.com/bulkhead-cni/bulkhead/pkg/hcndoc"
	"github.com/bulkhead-cni/bulkhead/pkg/hcnhandle"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Open returns the client. It makes no call: whether HNS is there shows at the
// first one. hcsshim's log is switched off for the process, as a CNI plugin owes
// its standard streams to the runtime.
func Open() (hns.Client, error) {
	logrus.SetOutput(io.Discard)
	logrus.SetLevel(logrus.PanicLevel)
	return hcndoc.NewClient(service{hcnhandle.New(native{})}), nil
}

// service leaves to hcsshim what is rare: to make and to remove networks and
// namespaces, and to change an endpoint.
type service struct{ *hcnhandle.Handles }

func (service) Create(_ context.Context, kind hcndoc.Kind, document []byte) ([]byte, error) {
	if kind == hcndoc.Networks {
		return create((*hcn.HostComputeNetwork).Create, document)
	}
	return create((*hcn.HostComputeNamespace).Create, document)
}

func create[T any](create func(*T) (*T, error), document []byte) ([]byte, error) {
	want, err := parse[T](document)
	if err != nil {
		return nil, err
	}
	got, err := call(func() (*T, error) { return create(&want) })
	if err != nil {
		return nil, err
	}
	return json.Marshal(got)
}

func (s service) Modify(ctx context.Context, kind hcndoc.Kind, id string, document []byte) error {
	if kind == hcndoc.Namespaces {
		return s.Handles.Modify(ctx, kind, id, document)
	}
	request, err := parse[hcn.ModifyEndpointSettingRequest](document)
	if err != nil {
		return err
	}
	return callErr(func() error { return hcn.ModifyEndpointSettings(id, &request) })
}

func (s service) Delete(ctx context.Context, kind hcndoc.Kind, id string) error {
	if kind == hcndoc.Endpoints {
		return s.Handles.Delete(ctx, kind, id)
	}
	s.Release(ctx, kind)
	if kind == hcndoc.Networks {
		return callErr((&hcn.HostComputeNetwork{Id: id}).Delete)
	}
	return callErr((&hcn.HostComputeNamespace{Id: id}).Delete)
}

// parse reads a document into hcsshim's struct. A member that the struct lacks
// would not be sent, so it is an error.
func parse[T any](document []byte) (T, error) {
	var v T
	d := json.NewDecoder(bytes.NewReader(document))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return v, &hns.Error{Err: err}
	}
	return v, nil
}
