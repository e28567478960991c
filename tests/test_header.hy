"Files that are broken, foreign or a lie are refused in one line, before a weight is read."

(import  os
         pickle
         random
         time
         hypothesis [given settings strategies :as st]
         pytest
         safetensors.torch
         torch
         checkpoints [apart framed make refusal refusals same saved tampered TENSORS together]
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.lab.checkpoints.checkpoint [header load-checkpoint]
         nanogpt-hy.lab.checkpoints.header [opened]
         nanogpt-hy.lab.strangers [MOST-DEPTH parse-object])

(defn [pytest.fixture] ckpt [tmp-path]
  (saved tmp-path))

;;; Files that are broken or something else

(defn test-empty-file [tmp-path]
  (.touch (/ tmp-path "x"))
  (assert (in "is empty" (refusals (/ tmp-path "x")))))

(defn [(settings :deadline None :max-examples 150) (given (st.data))]
      test-cut-short-anywhere [tmp-path-factory data]
  (setv folder (.mktemp tmp-path-factory "cut")
        whole  (.read-bytes (saved folder))
        n      (.draw data (st.integers 0 (- (len whole) 1))))
  (.write-bytes (/ folder "x") (cut whole n))
  (setv text (refusals (/ folder "x")))
  (assert (in (cond (= n 0) "is empty" (< n 10) f"only {n} bytes" True "cut short") text)))

(defn test-too-long [ckpt]
  (.write-bytes ckpt (+ (.read-bytes ckpt) b"!"))
  (assert (in "1 bytes follow" (refusals ckpt))))

(defn [(pytest.mark.parametrize "text" ["First Citizen:\nBefore we proceed any further, hear me.\n"
                                        "All:\r\n\tSpeak, speak.\n"])]
    test-text-file [tmp-path text]
  (.write-text (/ tmp-path "x.txt") text)
  (assert (in "is a text file" (refusals (/ tmp-path "x.txt")))))

(defn test-a-device-is-not-opened []
  (assert (in "no regular file" (refusal (. (opened os.devnull) __enter__)))))

(defn test-a-disk-that-cannot-be-read-is-named [ckpt]
  (defn read []
    (with [_ (opened ckpt)]
      (raise (OSError 5 "Input/output error"))))
  (assert (in f"{ckpt} cannot be read (Input/output error)" (refusal read))))

(defn test-eight-axes-are-not-too-many [tmp-path]
  (setv tensors {"model.w" (torch.ones 1 1 1 1 1 1 1 2)})
  (assert (same tensors (get (load-checkpoint (saved tmp-path tensors)) 0))))

(defn test-torch-pickles-are-named-and-never-opened [tmp-path]
  (setv state (.state-dict (make)))
  (torch.save state (/ tmp-path "zip.pt"))
  (torch.save state (/ tmp-path "old.pt") :_use-new-zipfile-serialization False)
  (for [protocol (range 2 6)]
    (.write-bytes (/ tmp-path f"raw{protocol}.pt")
                  (pickle.dumps {"a" (list (range 20))} :protocol protocol)))
  (for [path (.glob tmp-path "*.pt")]
    (setv text (refusals path))
    (assert (in "looks like a torch pickle" text))
    (assert (in "nanogpt-hy import" text))))

(defn test-random-bytes [tmp-path]
  (setv dice (random.Random 3))
  (for [n [1 8 9 10 100 5000]]
    (.write-bytes (/ tmp-path "x") (.randbytes dice n))
    (refusals (/ tmp-path "x"))))

(defn test-a-header-larger-than-allowed-is-not-read [tmp-path]
  (with [file (open (/ tmp-path "x") "wb")]
    (.write file (+ (.to-bytes 100,000,001 8 "little") b"{"))
    (.truncate file 200,000,000))
  (assert (in "is not a .safetensors file" (refusals (/ tmp-path "x")))))

(defn test-somebody-elses-safetensors [tmp-path]
  (setv path (/ tmp-path "x.safetensors"))
  (safetensors.torch.save-file {"w" (torch.zeros 2 3)} path :metadata {"format" "pt"})
  (assert (in "not one of nanogpt-hy" (refusals path)))
  (assert (in "nanogpt-hy import" (refusals path)))
  (assert (= (header path) {"w" #("F32" #(2 3))}))
  (safetensors.torch.save-file {"w" (torch.zeros 2 3)} path)
  (assert (in "not one of nanogpt-hy" (refusals path))))

(setv BAD-JSON
  [["{"                                    "cannot be read"]
   [""                                     "cannot be read"]
   ["[1]"                                  "no JSON object"]
   ["7"                                    "no JSON object"]
   ["{\"format\": NaN}"                    "not a finite number"]
   ["{\"format\": -Infinity}"              "not a finite number"]
   ["{\"format\": 1e999}"                  "not a finite number"]
   ["{\"format\": 1, \"format\": 1}"       "comes twice"]
   [(+ (* "[" 200,000) (* "]" 200,000))    "nested too deeply"]
   [(+ "{\"a\":" (* "[" 60) (* "]" 60) "}") "nested too deeply"]
   [(+ "{\"format\": 1" (* "0" 5000) "}")  "cannot be read"]
   [(+ "{\"format\": 1" (* "0" 5000) ".0}")  "cannot be read"]
   ["{}"                                   "without the number of its format"]
   ["{\"format\": 0}"                      "without the number of its format"]
   ["{\"format\": true}"                   "without the number of its format"]
   ["{\"format\": 1}"                      "does not match its own digest"]])

(defn [(pytest.mark.parametrize #("text" "why") BAD-JSON)]
      test-metadata-that-is-no-honest-json [ckpt text why]
  (setv [head _ data] (apart ckpt))
  (together ckpt head text data False)
  (assert (in why (refusals ckpt))))

(defn test-just-so-deep []
  "The object itself counts."
  (setv deep (fn [n] (+ "{\"a\":" (* "[" (- n 1)) (* "]" (- n 1)) "}")))
  (assert (parse-object "x" (deep MOST-DEPTH) "JSON"))
  (assert (in "nested too deeply" (refusal parse-object "x" (deep (+ MOST-DEPTH 1)) "JSON"))))

(setv BAD-META
  [["stage"     3                                "stage that is not text"]
   ["config"    []                               "config that is not an object"]
   ["config"    {"n_layer" [1]}                  "list or an object"]
   ["config"    {"activation" {"gelu" 1}}        "list or an object"]
   ["config"    {"n_embd" "9"}                   "n_embd is '9'"]
   ["config"    {"n_embd" True}                  "n_embd is True"]
   ["config"    {"block_size" 0}                 "block_size is 0"]
   ["config"    {"n_head" 0}                     "n_head is 0"]
   ["config"    {"vocab_size" 4}                 "3 characters and a config whose vocab_size is 4"]
   ["step"      "7"                              "step that is not a whole number"]
   ["step"      1.0                              "step that is not a whole number"]
   ["step"      True                             "step that is not a whole number"]
   ["step"      -1                               "step that is negative"]
   ["step"      (** 10 30)                       "negative or absurd"]
   ["train"     None                             "train that is not an object"]
   ["losses"    [1]                              "losses that is not an object"]
   ["data"      "x"                              "data that is not an object"]
   ["tokenizer" "char"                           "tokenizer that is not an object"]
   ["tokenizer" {}                               "without a kind"]
   ["tokenizer" {"kind" "char"}                  "chars are no characters"]
   ["tokenizer" {"kind" "char"  "chars" ["ab"]}  "chars are no characters"]
   ["tokenizer" {"kind" "char"  "chars" [1]}     "chars are no characters"]
   ["tokenizer" {"kind" "char"  "chars" ["\ud800"]}   "chars are no characters"]
   ["tokenizer" {"kind" "char"  "chars" ["\udfff"]}   "chars are no characters"]
   ["tokenizer" {"kind" "char"  "chars" ["b" "a" "c"]} "not in order"]
   ["tokenizer" {"kind" "char"  "chars" "aab"}   "not in order"]])

(defn [(pytest.mark.parametrize #("key" "value" "why") BAD-META)]
      test-metadata-of-the-wrong-kind [ckpt key value why]
  (tampered ckpt (fn [head meta] (setv (get meta key) value)))
  (assert (in why (refusals ckpt))))

(defn [(pytest.mark.parametrize "key" ["stage" "config" "tokenizer" "step"])]
      test-metadata-that-lacks-a-key [ckpt key]
  (tampered ckpt (fn [head meta] (.pop meta key)))
  (assert (in f"lacks '{key}'" (refusals ckpt))))

(defn test-a-newer-format [ckpt]
  (tampered ckpt (fn [head meta] (setv (get meta "format") 2)) :honest False)
  (assert (in "format 2" (refusals ckpt)))
  (assert (in "update nanogpt-hy" (refusals ckpt))))

(setv EDITS {"a fact"  (fn [head meta] (setv (get meta "step") 8))
             "a shape" (fn [head meta] (.reverse (get head "model.1.weight" "shape")))
             "a kind"  (fn [head meta] (setv (get head "model.1.weight" "dtype") "I32"))
             "a name"  (fn [head meta] (setv (get head "model.1.w") (.pop head "model.1.weight")))
             "no digest" (fn [head meta] (.pop meta "digest"))})

(defn [(pytest.mark.parametrize "edit" EDITS)] test-a-header-edited-without-its-digest [ckpt edit]
  (tampered ckpt (get EDITS edit) :honest False)
  (assert (in "does not match its own digest" (refusals ckpt))))

(defn [(pytest.mark.parametrize "name" ["n_embd" "n_layer" "n_head" "block_size" "vocab_size"])]
      test-sizes-that-are-lies [ckpt name]
  (tampered ckpt (fn [head meta]
                   (setv (get meta "tokenizer") {"kind" "bpe"}
                         (get meta "config" name) (** 10 9))))
  (setv before (time.monotonic))
  (assert (in f"claims {name} 1000000000" (refusals ckpt)))
  (assert (< (- (time.monotonic) before) 2)))

(defn test-layers-and-heads-are-a-lie-together [ckpt]
  "Stage gpt has a module for each head, and minutes would go by before they were all made."
  (tampered ckpt (fn [head meta]
                   (.update (get meta "config") {"n_layer" 1000  "n_head" 1000  "n_embd" 1000})))
  (assert (in "claims 1000000 heads in all" (refusals ckpt)))
  (tampered ckpt (fn [head meta] (setv (get meta "config" "n_head") 11)))
  (assert (in "claims 11000 heads in all" (refusals ckpt)))
  (tampered ckpt (fn [head meta] (setv (get meta "config" "n_head") 10)))
  (assert (load-checkpoint ckpt)))

(setv W "model.1.weight")               ; F32 (3 2)
(setv BAD-ENTRIES
  [["shape" [2 2]                    "does not fit its bytes"]
   ["shape" [(** 10 9) (** 10 9)]    "impossibly large"]
   ["shape" [0 (** 2 62)]            "impossibly large"]
   ["shape" [-3 -2]                  "no list of"]
   ["shape" [3.0 2]                  "no list of"]
   ["shape" 6                        "no list of"]
   ["shape" (* [1] 9)                "no list of"]
   ["dtype" "F8_E4M3"                "none of F64"]
   ["dtype" ["F32"]                  "none of F64"]
   ["dtype" (* "F" 1000)             "none of F64"]
   ["dtype" "F64"                    "does not fit its bytes"]
   ["data_offsets" [24 0]            "does not fit its bytes"]
   ["data_offsets" [0 24]            "is damaged"]
   ["data_offsets" [(** 10 9) (+ (** 10 9) 24)]  "is damaged"]
   ["data_offsets" [-24 0]           "not two whole numbers"]
   ["data_offsets" [0]               "not two whole numbers"]
   ["data_offsets" [(** 10 30) (** 10 30)]       "not two whole numbers"]
   ["more" 1                         "or more than these"]])

(defn [(pytest.mark.parametrize #("key" "value" "why") BAD-ENTRIES)]
      test-tensors-that-are-lies [ckpt key value why]
  (tampered ckpt (fn [head meta] (setv (get head W key) value)) :honest False)
  (assert (in why (refusals ckpt)))
  (assert (in why (refusal header ckpt))))

(defn test-overlapping-tensors [ckpt]
  (tampered ckpt (fn [head meta]
                   (setv (get head W) {"dtype" "F32"  "shape" [3 2]
                                       "data_offsets" (get head "model.0.weight" "data_offsets")})))
  (assert (in "is damaged" (refusals ckpt))))

(defn test-an-entry-that-is-no-object [ckpt]
  (for [entry [None 1 "x" [] {} {"dtype" "F32"}]]
    (tampered ckpt (fn [head meta] (setv (get head W) entry)))
    (assert (in "no dtype, shape and data_offsets" (refusals ckpt)))))

(defn test-metadata-that-is-no-text [ckpt]
  (setv [head _ data] (apart ckpt))
  (for [notes [None [] {"nanogpt_hy" {}} {"nanogpt_hy" 1}]]
    (together ckpt {#** head "__metadata__" notes} None data False)
    (assert (in "metadata that is not text" (refusals ckpt)))))

(defn test-headers-that-are-no-honest-json [tmp-path]
  (setv path  (/ tmp-path "x")
        entry "\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}")
  (for [[text why] [["{" "is not a .safetensors file"]
                    ["{]" "cannot be read"]
                    [(+ "{" entry "," entry "}") "comes twice"]
                    [(+ "{\"a\":" (* "[" 200,000)) "nested too deeply"]
                    [(.replace (+ "{" entry "}") "4]" "NaN]") "not a finite number"]
                    [b"{\"\xff\":1}" "cannot be read"]]]
    (.write-bytes path (framed text b"1234"))
    (assert (in why (refusals path)))))

(defn test-the-names-in-a-message-are-harmless [ckpt]
  (tampered ckpt (fn [head meta] (setv (get head (* "\u001b[31m\n" 1000)) {})))
  (setv text (refusals ckpt))
  (assert (not-in "\u001b" text)))

(defn test-weights-that-are-no-numbers [tmp-path]
  (for [bad  ["nan" "inf" "-inf"]
        name ["model.0.weight" "optimizer.0.exp_avg"]]
    (setv path (saved tmp-path {#** TENSORS name (torch.tensor [1.0 (float bad)])}))
    (setv text (refusal load-checkpoint path))
    (assert (in f"not finite, in '{name}'" text))))

(defn [(settings :deadline None :max-examples 300) (given (st.data))]
      test-bits-that-fall-over-in-the-header [tmp-path-factory data]
  (setv folder (.mktemp tmp-path-factory "flip")
        path   (saved folder)
        bytes  (bytearray (.read-bytes path))
        end    (+ 8 (int.from-bytes (cut bytes 8) "little"))
        before (load-checkpoint path))
  (for [place (.draw data (st.lists (st.integers 0 (- end 1)) :min-size 1 :max-size 4))]
    (setv (get bytes place) (^ (get bytes place) (.draw data (st.integers 1 255)))))
  (.write-bytes path bytes)
  (try
    (setv after (load-checkpoint path))
    (assert (same (get before 0) (get after 0)))
    (assert (= (get before 1) (get after 1)))
    (except [e RequestError]
      (assert (not-in "\n" (str e))))))
