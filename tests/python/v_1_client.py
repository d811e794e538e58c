"""The story of keyfactor-v-1-client 1.0.3, unmodified.

Its faults: it has no call that lists, reads, makes or updates a certificate store (the store is made by a plain
request through the library that it stands on), and it cannot read store types, whose enumerations it wants as numbers
where the product sends names (with `numeric_store_types` it reads those without entry parameters).
"""

import base64
import importlib

import httpx

from keyfactor_v_1_client.api.agent import agent_get_agents
from keyfactor_v_1_client.api.certificate import (
    certificate_delete_certificate,
    certificate_get_certificate,
    certificate_query_certificates,
)
from keyfactor_v_1_client.api.certificate_store import (
    certificate_store_add_certificate,
    certificate_store_delete_certificate_store,
    certificate_store_get_certificate_store_inventory,
    certificate_store_remove_certificate,
)
from keyfactor_v_1_client.api.certificate_store_type import (
    certificate_store_type_get_certificate_store_type_1,
    certificate_store_type_get_types,
)
from keyfactor_v_1_client.api.enrollment import enrollment_install_pfx_to_cert_store, enrollment_post_pfx_enroll
from keyfactor_v_1_client.api.orchestrator_job import (
    orchestrator_job_get_job_history,
    orchestrator_job_get_scheduled_jobs,
)
from keyfactor_v_1_client.api.status import status_get_endpoints
from keyfactor_v_1_client.client import AuthenticatedClient
from keyfactor_v_1_client.models import (
    KeyfactorApiModelsCertificateStoresAddCertificateRequest as Add,
    KeyfactorApiModelsCertificateStoresRemoveCertificateRequest as Remove,
    KeyfactorApiModelsEnrollmentEnrollmentManagementRequest as Deploy,
    KeyfactorApiModelsEnrollmentManagementStoreRequest as DeployStore,
    KeyfactorCommonSchedulingKeyfactorSchedule as Schedule,
    ModelsCertificateLocationSpecifier as Place,
    ModelsCertificateStoreEntry as Entry,
    ModelsEnrollmentPFXEnrollmentRequest as Enrollment,
    ModelsEnrollmentPFXEnrollmentRequestSANs as Names,
    OrchestratorJobGetJobHistoryPqSortAscending as Order,
)

import stage
from stage import fault_of_the_client, step

def basic(password):
    """What HTTP Basic sends for the administrator."""
    return base64.b64encode(f"{stage.USERNAME}:{password}".encode()).decode()


client = AuthenticatedClient(
    base_url=stage.URL, prefix="Basic", token=basic(stage.PASSWORD), verify_ssl=stage.CA_FILE, timeout=30.0
)


def answered(response, status=200):
    """What a call answered; it must have this status."""
    assert response.status_code == status, f"{response.status_code}: {response.content.decode()}"
    return response.parsed


def ended(job):
    """Waits until a job has ended well; answers its last row."""

    def look():
        rows = answered(
            orchestrator_job_get_job_history.sync_detailed(
                client=client,
                pq_query_string=f'JobId -eq "{job}"',
                pq_return_limit=100,
                pq_sort_field="JobHistoryId",
                pq_sort_ascending=Order.VALUE_1,
            )
        )
        return rows[0] if rows and rows[0].status in (3, 4) else None

    row = stage.eventually(f"job {job} ends", look)
    assert row.result == 2, f"{row.result}: {row.message}"
    assert row.job_id == job and row.client_machine == stage.MACHINE and row.operation_end >= row.operation_start
    return row


def enrolled(name):
    """Enrolls a certificate whose key the server keeps."""
    names = Names()
    names["dns"] = [name]
    request = Enrollment(
        subject=f"CN={name}", template="TLSServer", sa_ns=names, password="pfx-Password-1", timestamp=stage.NOW,
        include_chain=True,
    )
    answer = answered(
        enrollment_post_pfx_enroll.sync_detailed(client=client, json_body=request, x_certificateformat="STORE")
    )
    information = answer.certificate_information
    assert information.keyfactor_id > 0 and information.keyfactor_request_id == 0
    assert information.request_disposition == "ISSUED" and information.pkcs_12_blob
    return information


def inventory(store):
    """The certificates that the inventory of a store shows, by thumbprint."""
    entries = answered(certificate_store_get_certificate_store_inventory.sync_detailed(store, client=client))
    return {entry.certificates[0].thumbprint: entry for entry in entries}


endpoints = answered(status_get_endpoints.sync_detailed(client=client))
assert any("CertificateStores" in endpoint for endpoint in endpoints), endpoints
step(f"{len(endpoints)} endpoints")

agents = answered(agent_get_agents.sync_detailed(client=client, pq_query_string=f'ClientMachine -eq "{stage.MACHINE}"'))
assert len(agents) == 1 and agents[0].status == 2 and "PKCS12" in agents[0].capabilities, agents
agent = agents[0].agent_id
step(f"agent {agent}, last seen {agents[0].last_seen}")

# Command sends names here, which its own specification says are numbers; Go clients need the names.
with fault_of_the_client(ValueError, "is not a valid"):
    certificate_store_type_get_types.sync_detailed(client=client)
with fault_of_the_client(ValueError, "is not a valid"):
    certificate_store_type_get_certificate_store_type_1.sync_detailed("PKCS12", client=client)
numeric = AuthenticatedClient(
    base_url=stage.NUMERIC_URL, prefix="Basic", token=basic(stage.NUMERIC_PASSWORD), verify_ssl=stage.NUMERIC_CA_FILE
)
# Numbers stand for `RequiredWhen`, too, as the later client wants it; this one wants an object there.
with fault_of_the_client(AttributeError, "'int' object has no attribute 'copy'"):
    certificate_store_type_get_types.sync_detailed(client=numeric)
named = answered(certificate_store_type_get_certificate_store_type_1.sync_detailed("PKCS12", client=numeric))
assert [one.custom_alias_allowed for one in named] == [1], named
step("the client cannot read store types with names, and can with numbers")

with fault_of_the_client(ImportError, "certificate_store_create_certificate_store"):
    importlib.import_module("keyfactor_v_1_client.api.certificate_store.certificate_store_create_certificate_store")
made = httpx.post(
    f"{client.base_url}/CertificateStores",
    headers={**client.get_headers(), "x-keyfactor-requested-with": "APIClient"},
    verify=client.verify_ssl,
    json={
        "ClientMachine": stage.MACHINE, "StorePath": f"{stage.STORES}/v-1-client.p12", "CertStoreType": stage.PKCS12,
        "AgentId": agent, "Properties": "{}", "Password": {"SecretValue": stage.STORE_PASSWORD},
    },
)
assert made.status_code == 200, made.text
store = made.json()["Id"]
step(f"store {store}, made without the client")

first = enrolled("first.example.test")
deployed = answered(
    enrollment_install_pfx_to_cert_store.sync_detailed(
        client=client,
        json_body=Deploy(
            password="pfx-Password-1", certificate_id=first.keyfactor_id, request_id=0, job_time=stage.NOW,
            stores=[DeployStore(store_id=store, alias="first", overwrite=True)],
        ),
    )
)
assert deployed.successful_stores == [store] and deployed.failed_stores == [], deployed
stage.eventually("the inventory shows the deployed certificate", lambda: first.thumbprint in inventory(store))
step("enrolled and deployed")

second = enrolled("second.example.test")
jobs = answered(
    certificate_store_add_certificate.sync_detailed(
        client=client,
        json_body=Add(
            certificate_id=second.keyfactor_id,
            certificate_stores=[Entry(certificate_store_id=store, alias="second", include_private_key=True)],
            schedule=Schedule(immediate=True),
        ),
    )
)
row = ended(jobs[0])
step(f"added: {row.job_type} of {row.store_path} took {row.operation_end - row.operation_start}")
stage.eventually("the inventory shows the added certificate", lambda: second.thumbprint in inventory(store))
entry = inventory(store)[second.thumbprint]
assert entry.name == "second" and entry.certificates[0].issued_dn == "CN=second.example.test", entry
assert entry.certificates[0].id == second.keyfactor_id

found = answered(
    certificate_get_certificate.sync_detailed(
        second.keyfactor_id, client=client, include_locations=True, include_metadata=True
    )
)
assert found.thumbprint == second.thumbprint and found.issued_cn == "second.example.test"
assert [(place.alias, place.store_machine) for place in found.locations] == [("second", stage.MACHINE)], found.locations
listed = answered(
    certificate_query_certificates.sync_detailed(
        client=client, pq_query_string=f'Thumbprint -eq "{second.thumbprint}"'
    )
)
assert [one.id for one in listed] == [second.keyfactor_id], listed
step("the certificate knows where it is")

removed = answered(
    certificate_store_remove_certificate.sync_detailed(
        client=client,
        json_body=Remove(
            certificate_stores=[Place(certificate_store_id=store, alias="second")], schedule=Schedule(immediate=True)
        ),
    )
)
ended(removed[0])
stage.eventually("the inventory no longer shows it", lambda: second.thumbprint not in inventory(store))
assert first.thumbprint in inventory(store), "the other entry stays"
step("removed")

answered(orchestrator_job_get_scheduled_jobs.sync_detailed(client=client))
answered(certificate_store_delete_certificate_store.sync_detailed(store, client=client), 204)
gone = certificate_store_get_certificate_store_inventory.sync_detailed(store, client=client)
assert gone.status_code == 404 and b"not found" in gone.content, gone
step("store deleted")
answered(certificate_delete_certificate.sync_detailed(second.keyfactor_id, client=client), 204)
gone = certificate_get_certificate.sync_detailed(second.keyfactor_id, client=client)
assert gone.status_code == 404 and b"not found" in gone.content, gone
step("certificate deleted")
