"""The story of keyfactor-command-sdk 11.0.0a1, unmodified.

Its faults: it cannot read store types, whose enumerations it wants as numbers where the product sends names (it reads
them from a server with `numeric_store_types`, but for those with a parameter that several operations require); it drops
the alternative names of an enrollment that is given as a dictionary, since it looks for `saNs`; and it loses members
whose names begin with two capitals, since it lowers the first letter of each name it receives.
"""

import base64

from command_v11_client import AuthenticatedClient
from command_v11_client.api.agent import get_agents, get_agents_id
from command_v11_client.api.certificate import (
    delete_certificates_id,
    get_certificates,
    get_certificates_id,
    post_certificates_recover,
)
from command_v11_client.api.certificate_store import (
    delete_certificate_stores_id,
    get_certificate_stores,
    get_certificate_stores_id,
    get_certificate_stores_id_inventory,
    post_certificate_stores,
    post_certificate_stores_certificates_add,
    post_certificate_stores_certificates_remove,
)
from command_v11_client.api.certificate_store_type import (
    get_certificate_store_types,
    get_certificate_store_types_name_name,
)
from command_v11_client.api.enrollment import post_enrollment_pfx, post_enrollment_pfx_deploy
from command_v11_client.api.orchestrator_job import (
    get_orchestrator_jobs_job_history,
    get_orchestrator_jobs_scheduled_jobs,
)
from command_v11_client.api.status import get_status_endpoints
from command_v11_client.models import (
    CSSCMSDataModelModelsCertificateLocationSpecifier as Place,
    CSSCMSDataModelModelsCertificateStoreEntry as Entry,
    CSSCMSDataModelModelsCertificateStoresCertificateStoreCreateRequest as NewStore,
    CSSCMSDataModelModelsEnrollmentPFXEnrollmentRequest as Enrollment,
    CSSCMSDataModelModelsEnrollmentPFXEnrollmentRequestSaNs as Names,
    CSSCMSDataModelModelsKeyfactorAPISecret as Secret,
    KeyfactorCommonQueryableExtensionsSortOrder as Order,
    KeyfactorCommonSchedulingKeyfactorSchedule as Schedule,
    KeyfactorWebKeyfactorApiModelsCertificateStoresAddCertificateRequest as Add,
    KeyfactorWebKeyfactorApiModelsCertificateStoresRemoveCertificateRequest as Remove,
    KeyfactorWebKeyfactorApiModelsCertificatesCertificateRecoveryRequest as Recovery,
    KeyfactorWebKeyfactorApiModelsEnrollmentEnrollmentManagementRequest as Deploy,
    KeyfactorWebKeyfactorApiModelsEnrollmentManagementStoreRequest as DeployStore,
)
from command_v11_client.types import Unset

import stage
from stage import fault_of_the_client, step

def basic(password):
    """What HTTP Basic sends for the administrator."""
    return base64.b64encode(f"{stage.USERNAME}:{password}".encode()).decode()


# A status that its specification does not name is an error of its own, and so ours.
client = AuthenticatedClient(
    base_url=stage.URL, prefix="Basic", token=basic(stage.PASSWORD), verify_ssl=stage.CA_FILE, raise_on_unexpected_status=True
)


def answered(response, status=200):
    """What a call answered; it must have this status."""
    assert response.status_code == status, f"{response.status_code}: {response.content.decode()}"
    return response.parsed


def ended(job):
    """Waits until a job has ended well; answers its last row."""

    def look():
        rows = answered(
            get_orchestrator_jobs_job_history.sync_detailed(
                client=client,
                query_string=f'JobId -eq "{job}"',
                return_limit=100,
                sort_field="JobHistoryId",
                sort_ascending=Order.VALUE_1,
            )
        )
        return rows[0] if rows and rows[0].status in (3, 4) else None

    row = stage.eventually(f"job {job} ends", look)
    assert row.result == 2, f"{row.result}: {row.message}"
    assert row.job_id == job and row.client_machine == stage.MACHINE and row.operation_end >= row.operation_start
    return row


def enrolled(name):
    """Enrolls a certificate whose key the server keeps; answers its record, since the client's answer to an enrollment
    has no thumbprint."""
    names = Names()
    names["dns"] = [name]
    request = Enrollment(
        subject=f"CN={name}", template="TLSServer", sa_ns=names, password="pfx-Password-1", timestamp=stage.NOW,
        include_chain=True, key_type="ECC", curve="1.2.840.10045.3.1.7",
    )
    information = answered(post_enrollment_pfx.sync_detailed(client=client, json_body=request)).certificate_information
    assert information.keyfactor_id > 0 and information.keyfactor_request_id == 0
    assert information.request_disposition == "ISSUED" and information.pkcs_12_blob
    return answered(get_certificates_id.sync_detailed(information.keyfactor_id, client=client))


def inventory(store):
    """The certificates that the inventory of a store shows, by thumbprint."""
    entries = answered(get_certificate_stores_id_inventory.sync_detailed(store, client=client))
    return {entry.certificates[0].thumbprint: entry for entry in entries}


endpoints = answered(get_status_endpoints.sync_detailed(client=client))
assert any("CertificateStores" in endpoint for endpoint in endpoints), endpoints
step(f"{len(endpoints)} endpoints")

agents = answered(get_agents.sync_detailed(client=client, query_string=f'ClientMachine -eq "{stage.MACHINE}"'))
assert len(agents) == 1 and agents[0].status == 2 and "PKCS12" in agents[0].capabilities, agents
agent = agents[0].agent_id
assert answered(get_agents_id.sync_detailed(agent, client=client)).client_machine == stage.MACHINE
step(f"agent {agent}, last seen {agents[0].last_seen}")

# Command sends names here, which its own specification says are numbers; Go clients need the names.
with fault_of_the_client(ValueError, "is not a valid"):
    get_certificate_store_types.sync_detailed(client=client)
with fault_of_the_client(ValueError, "is not a valid"):
    get_certificate_store_types_name_name.sync_detailed("PKCS12", client=client)
numeric = AuthenticatedClient(
    base_url=stage.NUMERIC_URL, prefix="Basic", token=basic(stage.NUMERIC_PASSWORD), verify_ssl=stage.NUMERIC_CA_FILE
)
# A sum of flags, for a parameter that several operations require; the client knows single flags alone.
with fault_of_the_client(ValueError, "14 is not a valid CSSCMSCoreEnumsEntryParameterUsageFlags"):
    get_certificate_store_types.sync_detailed(client=numeric)
named = answered(get_certificate_store_types_name_name.sync_detailed("PKCS12", client=numeric))
assert [one.custom_alias_allowed for one in named] == [1], named
step("the client cannot read store types with names, and can with numbers")

made = answered(
    post_certificate_stores.sync_detailed(
        client=client,
        json_body=NewStore(
            client_machine=stage.MACHINE, storepath=f"{stage.STORES}/command-sdk.p12", cert_store_type=stage.PKCS12,
            agent_id=agent, properties="{}", password=Secret(secret_value=stage.STORE_PASSWORD),
        ),
    )
)
store = made.id
assert made.client_machine == stage.MACHINE and made.approved and made.agent_assigned, made
read = answered(get_certificate_stores_id.sync_detailed(store, client=client))
assert read.storepath == f"{stage.STORES}/command-sdk.p12" and stage.STORE_PASSWORD not in str(read), read
listed = answered(
    get_certificate_stores.sync_detailed(client=client, query_string=f'ClientMachine -eq "{stage.MACHINE}"')
)
assert store in [one.id for one in listed], listed
step(f"store {store}")

dropped = Enrollment.from_dict({"Subject": "CN=first.example.test", "SANs": {"dns": ["first.example.test"]}})
assert isinstance(dropped.sa_ns, Unset), "the client no longer drops SANs: drop it from the story"
first = enrolled("first.example.test")
deployed = answered(
    post_enrollment_pfx_deploy.sync_detailed(
        client=client,
        json_body=Deploy(
            password="pfx-Password-1", certificate_id=first.id, request_id=0, job_time=stage.NOW,
            stores=[DeployStore(store_id=store, alias="first", overwrite=True)],
        ),
    )
)
assert deployed.successful_stores == [store] and deployed.failed_stores == [], deployed
stage.eventually("the inventory shows the deployed certificate", lambda: first.thumbprint in inventory(store))
step("enrolled and deployed")

second = enrolled("second.example.test")
jobs = answered(
    post_certificate_stores_certificates_add.sync_detailed(
        client=client,
        json_body=Add(
            certificate_id=second.id,
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
assert entry.certificates[0].id == second.id

response = get_certificates_id.sync_detailed(second.id, client=client, include_locations=True, include_metadata=True)
found = answered(response)
assert found.thumbprint == second.thumbprint and found.issued_cn == "second.example.test"
assert [(place.alias, place.store_machine) for place in found.locations] == [("second", stage.MACHINE)], found.locations
assert b"CRLDistributionPoints" in response.content and found.crl_distribution_points == [], "no longer lost"
certificates = answered(
    get_certificates.sync_detailed(client=client, query_string=f'Thumbprint -eq "{second.thumbprint}"')
)
assert [one.id for one in certificates] == [second.id], certificates
step("the certificate knows where it is")

removed = answered(
    post_certificate_stores_certificates_remove.sync_detailed(
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

answered(get_orchestrator_jobs_scheduled_jobs.sync_detailed(client=client))
answered(delete_certificate_stores_id.sync_detailed(store, client=client), 204)
stores = answered(get_certificate_stores.sync_detailed(client=client))
assert store not in [one.id for one in stores], stores
step("store deleted")
response = post_certificates_recover.sync_detailed(
    client=client, json_body=Recovery(cert_id=second.id, password="pfx-Password-2")
)
recovered = answered(response)
assert b'"PFX"' in response.content and isinstance(recovered.pfx, Unset), "no longer lost"
step("key recovered, and lost by the client")
answered(delete_certificates_id.sync_detailed(second.id, client=client), 204)
query = f'Thumbprint -eq "{second.thumbprint}"'
assert answered(get_certificates.sync_detailed(client=client, query_string=query)) == []
step("certificate deleted")
