// PixelMed's toolkit as modality, workstation and archive, told by lines what to do: see program.py.
//
//   java -cp /usr/share/java/pixelmed.jar Pixelmed.java FOLDER NODE_TITLE NODE_PORT TITLE PORT

import com.pixelmed.database.DatabaseInformationModel;
import com.pixelmed.database.PatientStudySeriesConcatenationInstanceModel;
import com.pixelmed.dicom.Attribute;
import com.pixelmed.dicom.AttributeList;
import com.pixelmed.dicom.AttributeTag;
import com.pixelmed.dicom.SOPClass;
import com.pixelmed.dicom.SequenceAttribute;
import com.pixelmed.dicom.SetOfDicomFiles;
import com.pixelmed.dicom.SpecificCharacterSet;
import com.pixelmed.dicom.StoredFilePathStrategy;
import com.pixelmed.dicom.TagFromName;
import com.pixelmed.network.AnyExplicitStoreFindMoveGetPresentationContextSelectionPolicy;
import com.pixelmed.network.ApplicationEntity;
import com.pixelmed.network.FindSOPClassSCU;
import com.pixelmed.network.GetSOPClassSCU;
import com.pixelmed.network.IdentifierHandler;
import com.pixelmed.network.MoveSOPClassSCU;
import com.pixelmed.network.MultipleInstanceTransferStatusHandler;
import com.pixelmed.network.NetworkApplicationInformation;
import com.pixelmed.network.PresentationAddress;
import com.pixelmed.network.ReceivedObjectHandler;
import com.pixelmed.network.StorageSOPClassSCPDispatcher;
import com.pixelmed.network.StorageSOPClassSCU;
import com.pixelmed.network.VerificationSOPClassSCU;
import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.logging.ConsoleHandler;
import java.util.logging.Level;
import java.util.logging.Logger;

public class Pixelmed {
    static final String HOST = "127.0.0.1";
    static final StoredFilePathStrategy FLAT = StoredFilePathStrategy.BYSOPINSTANCEUIDINSINGLEFOLDER;
    static final AttributeTag STEPS = new AttributeTag(0x0040, 0x0100);
    static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    static String node, title;
    static int port;
    static DatabaseInformationModel held;

    static void answer(String document) {
        OUT.println("answer " + document);
    }

    static String quoted(String text) {
        StringBuilder said = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') said.append('\\').append(c);
            else if (c < ' ') said.append(String.format("\\u%04x", (int) c));
            else said.append(c);
        }
        return said.append('"').toString();
    }

    // ---------------------------------------------------------------- SCU

    /** Words `gggg eeee=value`, without the space; those after `/` are of the scheduled step. */
    static AttributeList identifier(List<String> words) throws Exception {
        AttributeList whole = new AttributeList(), step = null, list = whole;
        for (String word : words) {
            if (word.equals("/")) {
                list = step = new AttributeList();
                continue;
            }
            String[] parts = word.split("=", 2);
            Attribute one = list.putNewAttribute(tag(parts[0]), new SpecificCharacterSet((String[]) null));
            if (!parts[1].isEmpty()) one.addValue(parts[1]);
        }
        if (step != null) {
            SequenceAttribute steps = new SequenceAttribute(STEPS);
            steps.addItem(step);
            whole.put(steps);
        }
        return whole;
    }

    static AttributeTag tag(String text) {
        return new AttributeTag(
            Integer.parseInt(text.substring(0, 4), 16), Integer.parseInt(text.substring(4), 16));
    }

    static void row(AttributeList data, StringBuilder said) {
        for (Attribute one : data.values()) {
            if (one instanceof SequenceAttribute) {
                SequenceAttribute items = (SequenceAttribute) one;
                for (int at = 0; at < items.getNumberOfItems(); at++) {
                    row(items.getItem(at).getAttributeList(), said);
                }
                continue;
            }
            String key = String.format("%04X%04X", one.getGroup(), one.getElement());
            if (said.length() > 1) said.append(',');
            said.append(quoted(key)).append(':').append(quoted(one.getDelimitedStringValuesOrEmptyString()));
        }
    }

    static String find(String called, int at, String model, AttributeList wanted) throws Exception {
        List<String> rows = new ArrayList<>();
        new FindSOPClassSCU(HOST, at, called, title, model, wanted, new IdentifierHandler() {
            @Override
            public void doSomethingWithIdentifier(AttributeList data) {
                StringBuilder said = new StringBuilder("{");
                row(data, said);
                rows.add(said.append('}').toString());
            }
        });
        return "{\"rows\": [" + String.join(",", rows) + "]}";
    }

    static String store(List<String> files) throws Exception {
        int[] counts = new int[4];
        new StorageSOPClassSCU(
            HOST, port, node, title, new SetOfDicomFiles(files.toArray(new String[0])), 0,
            new MultipleInstanceTransferStatusHandler() {
                @Override
                public void updateStatus(int remaining, int done, int failed, int warning, String uid) {
                    counts[0] = remaining;
                    counts[1] = done;
                    counts[2] = failed;
                    counts[3] = warning;
                }
            });
        if (counts[2] != 0 || counts[0] != 0) {
            throw new Exception("remaining, done, failed, warning: " + Arrays.toString(counts));
        }
        return "{}";
    }

    static AttributeList study(String uid) throws Exception {
        return identifier(Arrays.asList("00080052=STUDY", "0020000D=" + uid));
    }

    static String get(String uid, String folder, List<String> classes) throws Exception {
        new GetSOPClassSCU(
            HOST, port, node, title, SOPClass.StudyRootQueryRetrieveInformationModelGet, study(uid),
            new IdentifierHandler(), new File(folder), FLAT, new Received(), new HashSet<>(classes),
            true, true, false);
        return "{}";
    }

    static String move(String uid) throws Exception {
        MoveSOPClassSCU scu = new MoveSOPClassSCU(
            HOST, port, node, title, title, SOPClass.StudyRootQueryRetrieveInformationModelMove, study(uid));
        if (scu.getStatus() != 0) throw new Exception(String.format("status %04X", scu.getStatus()));
        return "{}";
    }

    // ---------------------------------------------------------------- SCP

    static class Received extends ReceivedObjectHandler {
        @Override
        public void sendReceivedObjectIndication(String file, String syntax, String calling) {}
    }

    static void hold(String file) throws Exception {
        AttributeList list = new AttributeList();
        list.read(file, TagFromName.PixelData);
        held.insertObject(list, file, DatabaseInformationModel.FILE_REFERENCED);
    }

    static void serve(File folder, int at) throws Exception {
        held = new PatientStudySeriesConcatenationInstanceModel(new File(folder, "index").getPath());
        File received = new File(folder, "received");
        received.mkdir();
        NetworkApplicationInformation network = new NetworkApplicationInformation();
        network.add(node, new ApplicationEntity(
            node, new PresentationAddress(HOST, port), "STUDYROOT", null));
        StorageSOPClassSCPDispatcher dispatcher = new StorageSOPClassSCPDispatcher(
            at, title, received, FLAT, new Received(), held.getQueryResponseGeneratorFactory(),
            held.getRetrieveResponseGeneratorFactory(), network,
            new AnyExplicitStoreFindMoveGetPresentationContextSelectionPolicy(), false);
        new Thread(dispatcher).start();
        while (!dispatcher.isReady()) Thread.sleep(10);
    }

    // ---------------------------------------------------------------- what is asked of us

    static String done(List<String> words) throws Exception {
        List<String> rest = words.subList(1, words.size());
        switch (words.get(0)) {
            case "echo":
                new VerificationSOPClassSCU(HOST, port, node, title, false);
                return "{}";
            case "store":
                return store(rest);
            case "find":
                return find(
                    rest.get(0), Integer.parseInt(rest.get(1)), rest.get(2),
                    identifier(rest.subList(3, rest.size())));
            case "get":
                return get(rest.get(0), rest.get(1), rest.subList(2, rest.size()));
            case "move":
                return move(rest.get(0));
            case "hold":
                for (String file : rest) hold(file);
                return "{}";
            default:
                throw new Exception("unknown: " + words.get(0));
        }
    }

    public static void main(String[] given) throws Exception {
        node = given[1];
        port = Integer.parseInt(given[2]);
        title = given[3];
        Logger log = Logger.getLogger("com.pixelmed.network");
        log.setLevel(Level.ALL);
        log.setUseParentHandlers(false);
        ConsoleHandler console = new ConsoleHandler();
        console.setLevel(Level.ALL);
        log.addHandler(console);
        serve(new File(given[0]), Integer.parseInt(given[4]));
        answer("{}");
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            try {
                answer(done(Arrays.asList(line.split("\t", -1))));
            } catch (Exception error) {
                answer("{\"failed\": " + quoted(String.valueOf(error)) + "}");
            }
        }
        System.exit(0);
    }
}
