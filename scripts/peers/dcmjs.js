// dcmjs-dimse as modality, workstation and archive, told by lines what to do: see program.py.
//
//   node dcmjs.js FOLDER NODE_TITLE NODE_PORT TITLE CLASSES SYNTAXES NODE_TLS_PORT KEY CHAIN AUTHORITY

'use strict';
const fs = require('fs');
const path = require('path');
const readline = require('readline');
const dimse = require('dcmjs-dimse');

const { Client, Dataset, Scp, Server, Transcoding } = dimse;
const { CEchoRequest, CFindRequest, CGetRequest, CMoveRequest, CStoreRequest } = dimse.requests;
const { NActionRequest, NEventReportRequest } = dimse.requests;
const { CEchoResponse, CFindResponse, CGetResponse, CMoveResponse, CStoreResponse } =
  dimse.responses;
const { NActionResponse, NEventReportResponse } = dimse.responses;
const { PresentationContextResult, SopClass, Status, StorageClass, TransferSyntax } =
  dimse.constants;

const { PresentationContext } = dimse.association;

const [folder, nodeTitle, nodePort, title, ...lists] = process.argv.slice(2);
const [classes, syntaxes] = lists.slice(0, 2).map((list) => list.split(','));
const nodeTlsPort = lists[2];
const [key, cert, ca] = lists.slice(3).map((file) => fs.readFileSync(file));
const securityOptions = { key, cert, ca, requestCert: true, rejectUnauthorized: true };
const received = path.join(folder, 'received');
const known = new Set(Object.values(TransferSyntax));
const served = new Set([
  SopClass.Verification,
  SopClass.StudyRootQueryRetrieveInformationModelFind,
  SopClass.StudyRootQueryRetrieveInformationModelMove,
  SopClass.StudyRootQueryRetrieveInformationModelGet,
  SopClass.StorageCommitmentPushModel,
  ...classes, // StorageClass has no RT plan and no ECG
]);
const held = [];

function answer(document) {
  process.stdout.write(`answer ${JSON.stringify(document)}\n`);
}

// ------------------------------------------------------------------ SCU

function associated(prepare, { port = nodePort, called = nodeTitle, options = {} } = {}) {
  return new Promise((resolve, reject) => {
    const client = new Client();
    prepare(client, reject);
    client.on('associationRejected', () => reject(new Error('rejected')));
    client.on('networkError', reject);
    client.on('closed', resolve);
    client.send('127.0.0.1', Number(port), title, called, options);
  });
}

function ended(request, reject, seen = () => {}) {
  request.on('response', (response) => {
    const status = response.getStatus();
    if (status === Status.Pending) {
      seen(response);
    } else if (status !== Status.Success) {
      reject(new Error(`status ${status.toString(16)}`));
    } else {
      ended.last = response;
    }
  });
  return request;
}

async function one(request, seen, at) {
  ended.last = null;
  await associated((client, reject) => client.addRequest(ended(request, reject, seen)), at);
  if (ended.last === null) {
    throw new Error('no answer');
  }
  return ended.last;
}

function named(value) {
  // A person's name is a list of groups; a list of values is one by one.
  if (Array.isArray(value)) {
    return value.map(named).join('\\');
  }
  return value && typeof value === 'object' ? String(value.Alphabetic ?? '') : String(value ?? '');
}

function row(dataset) {
  const elements = dataset.getElements();
  const found = {};
  for (const [key, value] of Object.entries(elements)) {
    if (key === 'ScheduledProcedureStepSequence') {
      for (const [inner, text] of Object.entries(value[0])) {
        found[inner] = named(text);
      }
    } else {
      found[key] = named(value);
    }
  }
  return found;
}

async function found(request, at) {
  const rows = [];
  const last = await one(request, (response) => rows.push(row(response.getDataset())), at);
  return { rows, shown: last.getErrorComment() ?? '' };
}

const commands = {
  async echo(tls) {
    const at = tls ? { port: nodeTlsPort, options: { securityOptions } } : {};
    await one(new CEchoRequest(), undefined, at);
  },
  async commit(references, stay) {
    const request = new NActionRequest(COMMITMENT, COMMITMENT_INSTANCE, 1);
    request.setDataset(
      new Dataset({
        TransactionUID: Dataset.generateDerivedUid(),
        ReferencedSOPSequence: JSON.parse(references).map(([sopClass, uid]) => ({
          ReferencedSOPClassUID: sopClass,
          ReferencedSOPInstanceUID: uid,
        })),
      })
    );
    const report = new Promise((resolve) => {
      reported = resolve;
    });
    // The library ends an association so long after its last answer; who has the report ends it.
    const associationLingerTimeout = stay === 'stay' ? 30000 : 0;
    await associated(
      (client, reject) => {
        client.on('nEventReportRequest', (event, respond) => {
          told(event, respond);
          setTimeout(() => client.abort(), 100);
        });
        client.addRequest(ended(request, reject));
      },
      { options: { associationLingerTimeout } }
    );
    return report;
  },
  async store(...files) {
    await associated((client, reject) => {
      for (const file of files) {
        // It proposes the file's own transfer syntax in a context of its own.
        client.addRequest(ended(new CStoreRequest(file), reject));
      }
    });
  },
  async find(level, keys, called, port) {
    const make = level === 'STUDY' ? 'createStudyFindRequest' : 'createSeriesFindRequest';
    return found(CFindRequest[make](JSON.parse(keys)), called && { called, port });
  },
  async worklist(keys) {
    // What createWorklistFindRequest makes asks for a Pregnancy Status of 0: it writes an empty
    // number so.
    const request = new CFindRequest();
    request.setAffectedSopClassUid(SopClass.ModalityWorklistInformationModelFind);
    request.setDataset(new Dataset(JSON.parse(keys)));
    return found(request);
  },
  async get(study, into) {
    await associated((client, reject) => {
      client.on('cStoreRequest', (request, respond) => respond(taken(request, into)));
      for (const uid of classes) {
        for (const syntax of syntaxes) {
          // Role selection goes with those that it adds by itself: see Object.values(StorageClass).
          if (Object.values(StorageClass).includes(uid)) {
            client.addAdditionalPresentationContext(new PresentationContext(0, uid, syntax), true);
          }
        }
      }
      client.addRequest(ended(CGetRequest.createStudyGetRequest(study), reject));
    });
  },
  async move(study) {
    await one(CMoveRequest.createStudyMoveRequest(title, study));
  },
  async hold(...files) {
    for (const file of files) {
      held.push(Dataset.fromFile(file));
    }
  },
};

// ------------------------------------------------------------------ storage commitment

const COMMITMENT = SopClass.StorageCommitmentPushModel;
const COMMITMENT_INSTANCE = '1.2.840.10008.1.20.1.1';
let reported = () => {};

function items(dataset, name) {
  return [dataset.getElement(name) ?? []].flat();
}

function told(request, respond) {
  const dataset = request.getDataset();
  const uid = (item) => item.ReferencedSOPInstanceUID;
  reported({
    committed: items(dataset, 'ReferencedSOPSequence').map(uid),
    reasons: Object.fromEntries(
      items(dataset, 'FailedSOPSequence').map((item) => [uid(item), item.FailureReason])
    ),
  });
  const response = NEventReportResponse.fromRequest(request);
  response.setStatus(Status.Success);
  respond(response);
}

function promised(asked) {
  const ours = new Set(held.map((one) => one.getElement('SOPInstanceUID')));
  const good = [];
  const bad = [];
  for (const item of items(asked, 'ReferencedSOPSequence')) {
    const { ReferencedSOPClassUID, ReferencedSOPInstanceUID } = item;
    const one = { ReferencedSOPClassUID, ReferencedSOPInstanceUID };
    if (ours.has(ReferencedSOPInstanceUID)) {
      good.push(one);
    } else {
      bad.push({ ...one, FailureReason: 0x0112 });
    }
  }
  const elements = { TransactionUID: asked.getElement('TransactionUID') };
  elements.ReferencedSOPSequence = good;
  if (bad.length) {
    elements.FailedSOPSequence = bad;
  }
  const request = new NEventReportRequest(COMMITMENT, COMMITMENT_INSTANCE, bad.length ? 2 : 1);
  request.setDataset(new Dataset(elements));
  associated((client) => client.addRequest(request)).catch(() => {});
}

// ------------------------------------------------------------------ SCP

function taken(request, into) {
  const dataset = request.getDataset();
  dataset.toFile(path.join(into, dataset.getElement('SOPInstanceUID')));
  const response = CStoreResponse.fromRequest(request);
  response.setStatus(Status.Success);
  return response;
}

function matching(wanted) {
  const keys = ['PatientID', 'StudyInstanceUID', 'SeriesInstanceUID', 'SOPInstanceUID'];
  return held.filter((one) =>
    keys.every((key) => !wanted.getElement(key) || wanted.getElement(key) === one.getElement(key))
  );
}

function retrieved(request, Response, sent, failed) {
  const response = Response.fromRequest(request);
  response.setStatus(failed ? Status.ProcessingFailure : Status.Success);
  response.setCompleted(sent);
  response.setFailures(failed);
  response.setRemaining(0);
  return response;
}

class Archive extends Scp {
  associationRequested(association) {
    this.association = association;
    for (const { id } of association.getPresentationContexts()) {
      const context = association.getPresentationContext(id);
      const syntax = context.getTransferSyntaxUids().find((uid) => known.has(uid));
      if (!served.has(context.getAbstractSyntaxUid())) {
        context.setResult(PresentationContextResult.RejectAbstractSyntaxNotSupported);
      } else if (syntax === undefined) {
        context.setResult(PresentationContextResult.RejectTransferSyntaxesNotSupported);
      } else {
        context.setResult(PresentationContextResult.Accept, syntax);
      }
    }
    this.sendAssociationAccept();
  }

  associationReleaseRequested() {
    this.sendAssociationReleaseResponse();
  }

  cEchoRequest(request, respond) {
    const response = CEchoResponse.fromRequest(request);
    response.setStatus(Status.Success);
    respond(response);
  }

  cStoreRequest(request, respond) {
    respond(taken(request, received));
  }

  nActionRequest(request, respond) {
    const response = NActionResponse.fromRequest(request);
    response.setStatus(Status.Success);
    respond(response);
    promised(request.getDataset());
  }

  nEventReportRequest(request, respond) {
    told(request, respond);
  }

  cFindRequest(request, respond) {
    const wanted = request.getDataset();
    const level = wanted.getElement('QueryRetrieveLevel');
    const unique = level === 'STUDY' ? 'StudyInstanceUID' : 'SeriesInstanceUID';
    const rows = new Map();
    for (const instance of matching(wanted)) {
      const uid = instance.getElement(unique);
      const elements = rows.get(uid) ?? { members: [] };
      elements.members.push(instance);
      rows.set(uid, elements);
    }
    const responses = [...rows.values()].map(({ members }) => {
      const elements = { QueryRetrieveLevel: level, SpecificCharacterSet: 'ISO_IR 192' };
      for (const key of Object.keys(wanted.getElements())) {
        elements[key] = elements[key] ?? members[0].getElement(key) ?? '';
      }
      if (level === 'STUDY') {
        elements.ModalitiesInStudy = [...new Set(members.map((m) => m.getElement('Modality')))];
        elements.NumberOfStudyRelatedInstances = String(members.length);
      }
      delete elements._vrMap;
      const response = CFindResponse.fromRequest(request);
      response.setDataset(new Dataset(elements));
      response.setStatus(Status.Pending);
      return response;
    });
    const last = CFindResponse.fromRequest(request);
    last.setStatus(Status.Success);
    respond([...responses, last]);
  }

  cMoveRequest(request, respond) {
    const stores = matching(request.getDataset()).map((one) => new CStoreRequest(one));
    let sent = 0;
    const client = new Client();
    for (const store of stores) {
      store.on('response', (response) => {
        sent += response.getStatus() === Status.Success ? 1 : 0;
      });
      client.addRequest(store);
    }
    client.on('networkError', () => {});
    client.on('closed', () => {
      respond([retrieved(request, CMoveResponse, sent, stores.length - sent)]);
    });
    client.send('127.0.0.1', Number(nodePort), title, nodeTitle, {});
  }

  cGetRequest(request, respond) {
    const stores = matching(request.getDataset()).map((one) => new CStoreRequest(one));
    let sent = 0;
    let answered = 0;
    for (const store of stores) {
      store.on('response', (response) => {
        sent += response.getStatus() === Status.Success ? 1 : 0;
      });
      store.on('done', () => {
        answered += 1;
        if (answered === stores.length) {
          respond([retrieved(request, CGetResponse, sent, stores.length - sent)]);
        }
      });
    }
    this.sendRequests(stores);
  }
}

// ------------------------------------------------------------------ what is asked of us

async function main() {
  dimse.log.setLevel('error');
  fs.mkdirSync(received, { recursive: true });
  await Transcoding.initializeAsync();
  const ports = [];
  for (const options of [{}, { securityOptions }]) {
    const server = new Server(Archive);
    server.on('networkError', () => {});
    server.listen(0, options);
    await new Promise((resolve) => server.server.on('listening', resolve));
    ports.push(server.server.address().port);
  }
  answer({ port: ports[0], tlsPort: ports[1] });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [command, ...words] = line.split('\t');
    try {
      answer((await commands[command](...words)) ?? {});
    } catch (error) {
      answer({ failed: String(error) });
    }
  }
}

main();
