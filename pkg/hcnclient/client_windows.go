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
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Open returns the client. It makes no call: whether HNS is there shows at the
// first one. hcsshim's log is switched off for the process, as a CNI plugin owes
// its standard streams to the runtime.
func Open() (hns.Client, error) {
	logrus.SetOutput(io.Discard)
	logrus.SetLevel(logrus.PanicLevel)
	return hcndoc.NewClient(service{}), nil
}

type service struct{}

func (service) List(_ context.Context, kind hcndoc.Kind, document []byte) ([][]byte, error) {
	query, err := parse[hcn.HostComputeQuery](document)
	if err != nil {
		return nil, err
	}
	switch kind {
	case hcndoc.Networks:
		return list(hcn.ListNetworksQuery, query)
	case hcndoc.Endpoints:
		return list(hcn.ListEndpointsQuery, query)
	default:
		return list(hcn.ListNamespacesQuery, query)
	}
}

func list[T any](query func(hcn.HostComputeQuery) ([]T, error), q hcn.HostComputeQuery) ([][]byte, error) {
	objects, err := call(func() ([]T, error) { return query(q) })
	if err != nil {
		return nil, err
	}
	var documents [][]byte
	for _, o := range objects {
		d, err := json.Marshal(o)
		if err != nil {
			return nil, &hns.Error{Err: err}
		}
		documents = append(documents, d)
	}
	return documents, nil
}

func (service) Create(_ context.Context, kind hcndoc.Kind, document []byte) ([]byte, error) {
	switch kind {
	case hcndoc.Networks:
		return create((*hcn.HostComputeNetwork).Create, document)
	case hcndoc.Endpoints:
		return create((*hcn.HostComputeEndpoint).Create, document)
	default:
		return create((*hcn.HostComputeNamespace).Create, document)
	}
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

func (service) Modify(_ context.Context, kind hcndoc.Kind, id string, document []byte) error {
	if kind == hcndoc.Endpoints {
		return modify(hcn.ModifyEndpointSettings, id, document)
	}
	return modify(hcn.ModifyNamespaceSettings, id, document)
}

func modify[T any](modify func(string, *T) error, id string, document []byte) error {
	request, err := parse[T](document)
	if err != nil {
		return err
	}
	_, err = call(func() (struct{}, error) { return struct{}{}, modify(id, &request) })
	return err
}

func (service) Delete(_ context.Context, kind hcndoc.Kind, id string) error {
	_, err := call(func() (struct{}, error) {
		switch kind {
		case hcndoc.Networks:
			return struct{}{}, (&hcn.HostComputeNetwork{Id: id}).Delete()
		case hcndoc.Endpoints:
			return struct{}{}, (&hcn.HostComputeEndpoint{Id: id}).Delete()
		default:
			return struct{}{}, (&hcn.HostComputeNamespace{Id: id}).Delete()
		}
	})
	return err
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
